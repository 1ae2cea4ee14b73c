"""`holdfast demo`: works without a terminal, and its log is what the memory backend answers."""

from pathlib import Path

from tests.unit.cli.processes import holdfast


def test_the_demo_stores_replays_and_says_what_is_next(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert holdfast("demo", "--output", str(output), cwd=tmp_path).returncode == 0
    done = holdfast("demo", "--output", str(output), cwd=tmp_path)  # it begins anew
    assert (done.returncode, done.stderr) == (0, "")
    assert "all equal" in done.stdout
    for step in ("save", "get", "query", "update", "page", "count", "delete", "batch", "replay"):
        assert f"\n{step} " in done.stdout
    assert "replayed" in done.stdout
    assert "validation_error" in done.stdout
    assert f"replay {output / 'demo.jsonl'} --compare" in done.stdout
    again = holdfast("replay", str(output / "demo.jsonl"), "--compare")
    assert again.returncode == 0


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = holdfast("demo", "--output", str(blocked))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be written" in done.stderr
