"""`holdfast record`: from the journal on a broker to a log that replays."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.logs import read_log
from tests.unit.cli.processes import clean_environment, holdfast, holdfast_async, serving
from tests.unit.replay.test_journals import journaled

_PATIENCE = 60.0  # seconds: a bound, never a pause
_COMMAND = [sys.executable, "-c", "from holdfast_agents.cli import main; main()"]


def names(folder: Path) -> list[str]:
    """The files that are there."""
    return [path.name for path in folder.iterdir()]


@pytest.fixture
async def journal(fresh_amqp_url: str) -> AsyncIterator[str]:
    """The URL of a broker with a journal: two chunks, one of them twice, a broken line."""
    c1, c2, c3 = (journaled(f"c{number}", {"a": [number, 1]}) for number in (1, 2, 3))
    async with open_bus(fresh_amqp_url) as bus:
        for chunk in (c3 + c2, c1 + c2[:40] + b"\n", c3 + c2):
            await bus.journal(chunk)
    yield fresh_amqp_url


@pytest.mark.amqp
async def test_the_order_is_restored_and_the_log_replays(journal: str, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    done = await holdfast_async("record", "--out", str(out), "--bus", journal)
    assert done.returncode == 0, done.stderr
    assert [exchange.message.id for exchange in read_log(out)] == ["c1", "c2", "c3"]
    assert f"recorded 3 exchanges (storage 3) into {out}" in done.stdout
    assert "from 2026-03-01T12:00:00" in done.stdout
    assert "left out 2 that stood in the journal twice" in done.stdout
    assert "warning: line 4 of the journal is broken" in done.stderr
    assert names(tmp_path) == ["run.jsonl"]


@pytest.mark.amqp
async def test_raw_keeps_everything_and_replay_sorts_it(journal: str, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    done = await holdfast_async("record", "-o", str(out), "--bus", journal, "--raw", "--json")
    assert json.loads(done.stdout) | {"bytes": 0} == {
        "file": str(out),
        "exchanges": 5,
        "bytes": 0,
        "first": "2026-03-01T12:00:00.000000Z",
        "last": "2026-03-01T12:00:00.000000Z",
        "agents": {"storage": 5},
        "repeats": 0,
        "put_right": 0,
        "broken": 1,
        "bad_lines": json.loads(done.stdout)["bad_lines"],
    }
    replayed = await holdfast_async("replay", str(out), "--json")
    report = json.loads(replayed.stdout)
    assert (report["replayed"], report["repeats"], report["broken"]) == (3, 2, 1)


@pytest.mark.amqp
async def test_strict_leaves_no_file(journal: str, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    done = await holdfast_async("record", "--out", str(out), "--bus", journal, "--strict")
    assert done.returncode == 1
    assert "line 4 of the journal is no exchange" in done.stderr
    assert names(tmp_path) == []


@pytest.mark.amqp
@pytest.mark.parametrize(
    "options", [("--agent", "greeting"), ("--since", "1s"), ("--since", "2099-01-01T00:00:00Z")]
)
async def test_nothing_to_record_leaves_no_file(
    journal: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    out = tmp_path / "run.jsonl"
    done = await holdfast_async("record", "--out", str(out), "--bus", journal, *options)
    assert done.returncode == 1
    assert "the journal holds no exchange" in done.stderr
    assert names(tmp_path) == []


@pytest.mark.amqp
async def test_without_a_journal_it_says_how_to_get_one(
    fresh_amqp_url: str, tmp_path: Path
) -> None:
    target = ("--out", str(tmp_path / "run.jsonl"), "--bus", fresh_amqp_url)
    done = await holdfast_async("record", *target)
    assert done.returncode == 1
    assert "`holdfast serve` runs with --journal" in done.stderr


@pytest.mark.amqp
async def test_a_file_is_not_overwritten_unless_told_to(journal: str, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    out.write_text("precious")
    done = await holdfast_async("record", "--out", str(out), "--bus", journal)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert out.read_text() == "precious"
    done = await holdfast_async("record", "--out", str(out), "--bus", journal, "--force")
    assert done.returncode == 0, done.stderr
    assert len(list(read_log(out))) == 3


@pytest.mark.amqp
async def test_following_ends_with_a_signal_and_keeps_what_came(
    journal: str, tmp_path: Path
) -> None:
    out = tmp_path / "run.jsonl"
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        *("record", "--out", str(out), "--bus", journal, "--follow"),
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(_PATIENCE):
        assert b"following the journal" in await process.stderr.readline()
        assert names(tmp_path) != ["run.jsonl"]
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0
    assert [exchange.message.id for exchange in read_log(out)][-2:] == ["c2", "c3"]
    assert names(tmp_path) == ["run.jsonl"]


@pytest.mark.amqp
async def test_what_a_service_did_is_recorded(fresh_amqp_url: str, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    options = ("--bus", fresh_amqp_url)
    backend = f"sqlite:///{tmp_path / 'tasks.db'}"
    async with serving(*options, "--backend", backend, "--journal") as served:
        await served.said("ready")
        task = '{"task": {"title": "Water the kelp"}}'
        assert (await holdfast_async("send", "storage", "storage_save", task, *options)).stdout
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0
    assert (await holdfast_async("record", "--out", str(out), *options)).returncode == 0
    done = await holdfast_async("replay", str(out), "--compare")
    assert "compared 1 answers: all equal" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "yesterday"), "--since"),
        (("--since", "5"), "--since"),
        (("--since", "999999999d"), "--since"),
        (("--bus", "memory://x"), "memory:// lives inside one process"),
    ],
)
def test_wrong_usage(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    place = ("--bus", "amqp://localhost:1/") if "--bus" not in options else ()
    done = holdfast("record", "--out", str(tmp_path / "run.jsonl"), *place, *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    place = ("--bus", "amqp://localhost:1/")
    for out in (tmp_path, tmp_path / "none" / "run.jsonl"):
        assert holdfast("record", "--out", str(out), *place).returncode == 2
