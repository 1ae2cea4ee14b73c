"""The README's code runs as it stands, but for the addresses of its servers."""

import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast_agents.settings import setting_names
from tests.acceptance.serving import clean_environment, run_holdfast, serving_with
from tests.docs.pages import CHECKOUT, README, blocks

_PATIENCE = 60.0  # seconds: a bound, never a pause
_MAKE, _SERVICE, _UNDER_FIRE, _LETTERS, _RECORDING = blocks(README, "sh")
_PROGRAM, _FOLLOWING = blocks(README, "python")


def _commands(block: str) -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in block.splitlines() if line.strip()]


def _printed(program: str, folder: Path) -> str:
    script = folder / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_program_runs_as_a_script(tmp_path: Path) -> None:
    assert _printed(_PROGRAM, tmp_path) == (
        "{'id': 1, 'title': 'Water the kelp', 'owner': {'name': 'Ada'}, 'done': True, 'tries': 1}\n"
    )
    assert (tmp_path / "tasks.db").is_file()


def test_the_program_that_hears_of_changes_runs_as_a_script(tmp_path: Path) -> None:
    assert _printed(_FOLLOWING, tmp_path) == "1 created {'id': 1, 'title': 'Water the kelp'}\n"


def test_the_targets_of_make_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    commands = [*_commands(_MAKE), *_commands(_UNDER_FIRE)]
    assert commands
    for make, target, *variables in commands:
        assert make == "make"
        assert target in targets
        assert all("=" in variable for variable in variables)


async def test_the_example_log_is_replayed_without_a_difference(tmp_path: Path) -> None:
    log = CHECKOUT / "examples" / "logs" / "todo.jsonl"
    assert "all equal" in await run_holdfast("replay", str(log), "--compare", cwd=tmp_path)


@pytest.fixture
async def addresses(fresh_amqp_url: str, fresh_postgres_url: str) -> AsyncIterator[dict[str, str]]:
    """What stands for the README's servers."""
    yield {
        "amqp://…@broker/": fresh_amqp_url,
        "postgresql://holdfast:…@db/holdfast": fresh_postgres_url,
    }


@pytest.mark.amqp
@pytest.mark.postgres
async def test_the_service_runs_as_written(addresses: dict[str, str]) -> None:
    migrate, serve, send, doctor = [
        [addresses.get(word, word) for word in words[1:]] for words in _commands(_SERVICE)
    ]
    assert "migrated" in await run_holdfast(*migrate)
    assert serve[0] == "serve"
    async with serving_with(serve[1:]) as process:
        assert "Water the kelp" in await run_holdfast(*send)
        assert "fail" not in await run_holdfast(*doctor)
        assert await process.end() == 0


@pytest.mark.amqp
@pytest.mark.postgres
async def test_recording_replaying_and_comparing_run_as_written(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    serve, send, record, *replays = [
        [addresses.get(word, word) for word in words[1:]] for words in _commands(_RECORDING)
    ]
    await run_holdfast("migrate", *serve[serve.index("--backend") :])
    async with serving_with(serve[1:]) as process:
        await run_holdfast(*send)
        assert await process.end() == 0
    await run_holdfast(*record, cwd=tmp_path)
    assert len(replays) == 2
    for replay in replays:
        assert "compared 1 answers: all equal" in await run_holdfast(*replay, cwd=tmp_path)


@pytest.mark.amqp
@pytest.mark.postgres
async def test_dead_letters_are_mended_as_written(addresses: dict[str, str]) -> None:
    bus, backend = addresses.values()
    await run_holdfast("migrate", "--backend", backend)
    async with serving_with(["--bus", bus, "--backend", backend]):
        for words in _commands(_LETTERS):
            await run_holdfast(*(addresses.get(word, word) for word in words[1:]))


async def test_the_help_of_serve_lists_every_setting() -> None:
    words = set(re.findall(r"[a-z_]+", await run_holdfast("serve", "--help")))
    assert [name for name in setting_names() if name not in words] == []
