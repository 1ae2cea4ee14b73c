"""`holdfast dlq purge` on a terminal: it asks before it removes."""

import asyncio
import os
import pty
import re
import sys
from contextlib import suppress

import pytest
import typer

from holdfast_agents.cli import dlq_run
from holdfast_agents.dead_letters import Choice, DeadLetterDesk, Progress
from holdfast_protocol.actions import DeadLettersPurged
from holdfast_protocol.bus.contract import Bus, Delivery
from holdfast_protocol.bus.opening import open_bus
from tests.services import unique_name
from tests.unit.cli.processes import clean_environment

pytestmark = pytest.mark.amqp

_COMMAND = [sys.executable, "-c", "from holdfast_agents.cli import main; main()"]
_PATIENCE = 60.0  # seconds, for a process on a busy machine


async def asked(answer: str, *arguments: str) -> tuple[int, str]:
    """Answer the question of a purge; its exit status, and what it wrote to the terminal."""
    terminal, its_side = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        "dlq",
        "purge",
        *arguments,
        env=clean_environment({"TERM": "dumb"}),
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
    )
    os.close(its_side)
    try:
        async with asyncio.timeout(_PATIENCE):
            said = await asyncio.to_thread(_converse, terminal, answer)
            return await process.wait(), said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(terminal)


def _converse(terminal: int, answer: str) -> str:
    said = b""
    answered = False
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # the other side was closed
            return said.decode()
        said += read
        if not answered and re.search(rb"\[y/N\]: ?$", said):
            answered = True
            os.write(terminal, f"{answer}\n".encode())


async def bury(bus: Bus, count: int) -> None:
    for number in range(count):
        delivery = Delivery(b"{}", "storage.any", 1, message_id=str(number))
        await bus.dead_letter(delivery, reason="expired", error="", agent="storage")


async def total(bus: Bus) -> int:
    async with bus.dead_letters() as walk:
        return walk.total


async def test_it_asks_and_does_what_was_answered(amqp_url: str) -> None:
    name = unique_name()
    place = ("--bus", amqp_url, "--namespace", name)
    async with open_bus(amqp_url, namespace=name) as bus:
        await bury(bus, 3)
        code, said = await asked("n", "--all", *place)
        assert code == 1
        assert "Remove 3 dead letters for good?" in said
        assert "nothing was removed" in said
        assert await total(bus) == 3
        code, said = await asked("y", "--all", "--limit", "2", *place)
        assert code == 0
        assert "removed 2 dead letters" in said
        assert await total(bus) == 1


@pytest.mark.parametrize("letters", [0, 2])
def test_nothing_that_comes_after_the_count_is_removed(
    amqp_url: str,
    letters: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Late(DeadLetterDesk):
        """Another letter is there as soon as they have been counted."""

        def __init__(self, bus: Bus) -> None:
            super().__init__(bus)
            self._late = bus

        async def purge(
            self, choice: Choice, on_progress: Progress | None = None
        ) -> DeadLettersPurged:
            purged = await super().purge(choice, on_progress)
            if choice.dry_run:
                await bury(self._late, 1)
            return purged

    async def prepare() -> None:
        async with open_bus(place.bus, namespace=place.namespace) as bus:
            await bury(bus, letters)

    async def remaining() -> int:
        async with open_bus(place.bus, namespace=place.namespace) as bus:
            return await total(bus)

    def confirm(text: str, **_: object) -> bool:
        questions.append(text)
        return True

    questions: list[str] = []
    place = dlq_run.Place(amqp_url, unique_name())
    asyncio.run(prepare())
    monkeypatch.setattr(dlq_run, "DeadLetterDesk", Late)
    monkeypatch.setattr(typer, "confirm", confirm)
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with suppress(typer.Exit):
        dlq_run.purge_letters(place, Choice(), confirmed=False, as_json=False)
    assert questions == ["Remove 2 dead letters for good?"] * bool(letters)
    assert f"removed {letters} dead letters" in capsys.readouterr().out
    assert asyncio.run(remaining()) == 1
