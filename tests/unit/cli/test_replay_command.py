"""`holdfast replay`: exit status, summary, differences, and what a script reads."""

import json
from pathlib import Path

from tests.unit.cli.processes import holdfast
from tests.unit.replay.todo_workflow import TODO_LOG


def changed_log(folder: Path, old: bytes, new: bytes) -> Path:
    """The to-do log with something of it replaced."""
    text = TODO_LOG.read_bytes()
    assert old in text
    path = folder / "changed.jsonl"
    path.write_bytes(text.replace(old, new))
    return path


def test_equal_answers(tmp_path: Path) -> None:
    done = holdfast("replay", str(TODO_LOG), "--compare", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "compared 25 answers: all equal" in done.stdout
    assert "not compared: id, timestamp" in done.stdout


def test_a_difference_is_shown_with_its_place(tmp_path: Path) -> None:
    log = changed_log(tmp_path, b"Task with ID 99 not found", b"Nobody is [bold]here[/bold]")
    done = holdfast("replay", str(log), "--compare")
    assert done.returncode == 1
    assert "line 10  storage_get  get-missing" in done.stdout
    assert 'expected "Nobody is [bold]here[/bold]"' in done.stdout
    assert 'got      "Task with ID 99 not found"' in done.stdout


def test_what_is_ignored_does_not_differ(tmp_path: Path) -> None:
    log = changed_log(tmp_path, b"Task with ID 99 not found", b"Nobody is here")
    assert holdfast("replay", str(log), "--compare", "--ignore", "error").returncode == 0
    refused = holdfast("replay", str(log), "--compare", "--ignore", "a..b")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_json_is_one_line_for_a_script(tmp_path: Path) -> None:
    log = changed_log(tmp_path, b'"result":3,', b'"result":4,')
    done = holdfast("replay", str(log), "--compare", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["ok"], report["replayed"], report["differing"]) == (False, 25, 1)
    (difference,) = report["differences"][0]["differences"]
    assert difference == {"path": "result", "expected": "4", "got": "3"}


def test_a_cut_log_is_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(TODO_LOG.read_bytes()[:-40])
    done = holdfast("replay", str(path), "--compare")
    assert done.returncode == 1
    assert "replayed 24 messages" in done.stdout
    assert "line 25 is broken" in done.stdout


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.jsonl"
    path.write_bytes(TODO_LOG.read_bytes().replace(b'{"v":1,', b'{"v":9,'))
    done = holdfast("replay", str(path))
    assert done.returncode == 2
    assert "line 1 is of version 9" in done.stderr


def test_a_second_replay_warns_that_the_store_is_not_empty(tmp_path: Path) -> None:
    backend = f"sqlite:///{tmp_path / 'replayed.db'}"
    assert holdfast("replay", str(TODO_LOG), "--backend", backend).returncode == 0
    again = holdfast("replay", str(TODO_LOG), "--backend", backend, "--compare")
    assert again.returncode == 1
    assert "warning: the store was not empty: tasks (5)" in again.stderr


def test_the_environment_names_no_store_to_replay_on(tmp_path: Path) -> None:
    """A replay writes: only an option of its own may point it at a store."""
    file = tmp_path / "precious.db"
    env = {"HOLDFAST_BACKEND": f"sqlite:///{file}"}
    assert holdfast("replay", str(TODO_LOG), env=env).returncode == 0
    assert not file.exists()


def test_speed_keeps_the_recorded_pace(tmp_path: Path) -> None:
    """25 minutes at 15,000 times the speed are 96 ms at least."""
    done = holdfast("replay", str(TODO_LOG), "--speed", "15000", "--compare", "--json")
    report = json.loads(done.stdout)
    assert report["ok"]
    assert report["seconds"] >= 0.096


def test_strict_ends_at_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    lines = TODO_LOG.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join((*lines[:3], lines[3][:40], b"\n", *lines[4:])))
    done = holdfast("replay", str(path), "--strict")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "line 4 is broken" in done.stderr
    assert "replayed 24 messages" in holdfast("replay", str(path)).stdout


def test_a_typical_cause_is_named(tmp_path: Path) -> None:
    backend = f"sqlite:///{tmp_path / 'replayed.db'}"
    assert holdfast("replay", str(TODO_LOG), "--backend", backend).returncode == 0
    again = holdfast("replay", str(TODO_LOG), "--backend", backend, "--compare")
    assert "hint: the store knows this message already" in again.stdout
    as_json = holdfast("replay", str(TODO_LOG), "--backend", backend, "--compare", "--json")
    assert "knows this message already" in json.loads(as_json.stdout)["differences"][0]["hint"]
