"""`assert_replay` says what is wrong, from any test."""

from pathlib import Path

import pytest

from holdfast_agents.replay import LaterVersionError
from holdfast_agents.testing import assert_replay
from tests.unit.replay.todo_workflow import TODO_LOG


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The to-do log with other answers to two messages."""
    path = tmp_path / "changed.jsonl"
    path.write_bytes(TODO_LOG.read_bytes().replace(b"Task with ID 99 not found", b"Nobody"))
    return path


def test_it_gives_the_report() -> None:
    report = assert_replay(TODO_LOG)
    assert (report.compared, report.differing) == (25, 0)


async def test_it_runs_beside_a_running_loop() -> None:
    assert assert_replay(str(TODO_LOG)).ok


def test_what_is_ignored_is_no_difference(changed: Path) -> None:
    assert assert_replay(changed, ignore=["error"]).ok
    assert assert_replay(changed, ignore="error").ok


def test_it_keeps_a_pace() -> None:
    """25 minutes at 15,000 times the speed are 96 ms at least."""
    assert assert_replay(TODO_LOG, speed=15_000).seconds >= 0.096


def test_a_store_that_is_not_empty_is_named_as_the_cause(tmp_path: Path) -> None:
    backend = f"sqlite:///{tmp_path / 'kept.db'}"
    assert_replay(TODO_LOG, backend=backend)
    with pytest.raises(AssertionError, match="the store was not empty: tasks"):
        assert_replay(TODO_LOG, backend=backend)


def test_broken_lines_fail(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(TODO_LOG.read_bytes()[:-40])
    with pytest.raises(AssertionError, match="line 25 is broken"):
        assert_replay(path)


def test_a_log_without_messages_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.touch()
    with pytest.raises(AssertionError, match="holds no message"):
        assert_replay(path)


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.jsonl"
    path.write_bytes(TODO_LOG.read_bytes().replace(b'{"v":1,', b'{"v":9,'))
    with pytest.raises(LaterVersionError, match="line 1 is of version 9"):
        assert_replay(path)


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_is_above_zero(speed: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        assert_replay(TODO_LOG, speed=speed)


def test_a_missing_log_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        assert_replay(tmp_path / "none.jsonl")


@pytest.mark.postgres
def test_an_empty_postgresql_database_gets_its_schema(fresh_postgres_url: str) -> None:
    assert assert_replay(TODO_LOG, backend=fresh_postgres_url).ok
