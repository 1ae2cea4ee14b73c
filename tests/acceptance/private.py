"""Servers of a test's own, to be killed: `scripts/services --private`."""

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.missing import missing

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "services"
_START = 150.0  # seconds: a bound; a broker starts slowly on a busy machine


class PrivateServer:
    """One server in a directory of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder

    async def up(self) -> None:
        """Start it, or start it again as it was; returns when it answers."""
        done = await self._run("up", self._name)
        if done.returncode:
            missing(f"no private {self._name}: {done.stdout.strip().splitlines()[-1]}")

    async def crash(self) -> None:
        """SIGKILL."""
        done = await self._run("down", "--crash", self._name)
        assert done.returncode == 0, done.stdout

    async def remove(self) -> None:
        """Stop it and remove its data."""
        await self._run("down", "--crash", self._name)
        await self._run("down", "--purge")

    def url(self, variable: str) -> str:
        """The server's URL, by the name of its variable."""
        written = shlex.split((self._folder / "env").read_text())
        (found,) = [word for word in written if word.startswith(f"{variable}=")]
        return found.partition("=")[2]

    async def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(self._run_here, arguments)

    def _run_here(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        # Output to a file: the servers inherit what is open, and would hold a pipe open.
        self._folder.mkdir(exist_ok=True)
        said = self._folder.with_suffix(".said")
        with said.open("w") as output:
            done = subprocess.run(
                [sys.executable, _SCRIPT, "--private", self._folder, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_START,
                check=False,
            )
        return subprocess.CompletedProcess(done.args, done.returncode, said.read_text())
