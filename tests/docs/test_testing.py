"""The page about testing one's own agents: its code runs as it stands there."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_agents.testing import async_fixtures, plugin
from tests.acceptance.serving import clean_environment, run_holdfast, serving_with
from tests.docs.pages import CHECKOUT, blocks, code

_PAGE = CHECKOUT / "docs" / "testing-your-agents.md"
_PATIENCE = 120.0  # seconds: a bound, never a pause
_AGENT, _TEST, _MARKED, _EMBEDDED, _REPLAYING = blocks(_PAGE, "python")
_INSTALL, _RECORDING = blocks(_PAGE, "sh")
(_INI,) = blocks(_PAGE, "ini")
(_FAILURE,) = blocks(_PAGE, "text")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with the page's agent and ini file."""
    (tmp_path / "greeting.py").write_text(_AGENT)
    (tmp_path / "pytest.ini").write_text(f"{_INI}filterwarnings = error\npythonpath = .\n")
    return tmp_path


def run(suite: Path, *arguments: str) -> str:
    """What a process of Python says in the folder."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=suite,
        env=clean_environment() | {"PYTEST_ADDOPTS": "-p no:cacheprovider"},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    return f"{done.stdout}\n{done.stderr}"


def test_the_agent_passes_its_test(suite: Path) -> None:
    (suite / "test_greeting.py").write_text(_TEST)
    said = run(suite, "-m", "pytest", "-q")
    assert "2 passed" in said, said


def test_the_agent_passes_it_on_sqlite_too(suite: Path) -> None:
    (suite / "test_greeting.py").write_text(_TEST)
    (suite / "test_marked.py").write_text(_MARKED)
    option = next(text for text in code(_PAGE) if text.startswith("pytest "))
    said = run(suite, "-m", *shlex.split(option))
    assert "3 passed" in said, said


def test_what_the_program_journaled_is_replayed(suite: Path) -> None:
    (suite / "program.py").write_text(_EMBEDDED)
    (suite / "test_monday.py").write_text(_REPLAYING)
    assert run(suite, "program.py").strip() == ""
    said = run(suite, "-m", "pytest", "-q")
    assert "2 passed" in said, said


def test_another_answer_fails_as_the_page_shows(suite: Path) -> None:
    (suite / "program.py").write_text(_EMBEDDED)
    (suite / "test_monday.py").write_text(_REPLAYING)
    run(suite, "program.py")
    (suite / "greeting.py").write_text(_AGENT.replace("Hello,", "Good day,"))
    said = run(suite, "-m", "pytest", "-q")
    shown = [line.strip() for line in _FAILURE.splitlines()]
    shown[1] = shown[1].rpartition("  ")[0]  # the message's id is another one
    assert [line for line in shown if line not in said] == []


@pytest.mark.amqp
@pytest.mark.postgres
async def test_what_production_did_is_recorded_and_replayed(
    fresh_amqp_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    addresses = {
        "amqp://…@broker/": fresh_amqp_url,
        "postgresql://holdfast:…@db/holdfast": fresh_postgres_url,
    }
    serve, record, replay = [
        [addresses.get(word, word) for word in shlex.split(line)[1:]]
        for line in _RECORDING.splitlines()
    ]
    await run_holdfast("migrate", "--backend", fresh_postgres_url)
    assert serve[0] == "serve"
    async with serving_with(serve[1:]) as process:
        task = '{"task": {"title": "Water the kelp"}}'
        await run_holdfast("send", "storage", "storage_save", task, "--bus", fresh_amqp_url)
        assert await process.end() == 0
    assert "recorded 1 exchanges" in await run_holdfast(*record, cwd=tmp_path)
    assert "compared 1 answers: all equal" in await run_holdfast(*replay, cwd=tmp_path)


def test_every_fixture_is_described() -> None:
    named = {text for text in code(_PAGE) if text.startswith(("holdfast_", "assert_"))}
    modules = {**vars(plugin), **vars(async_fixtures)}
    fixtures = {name for name in modules if name.startswith("holdfast_")} | {"assert_replay"}
    assert fixtures == {name for name in named if "." not in name} - {"holdfast_backend"}


def test_the_extra_exists() -> None:
    assert shlex.split(_INSTALL) == ["pip", "install", "holdfast[testing]"]
    assert "\ntesting = [" in (CHECKOUT / "pyproject.toml").read_text()
