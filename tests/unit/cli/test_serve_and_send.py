"""`holdfast serve` and `holdfast send`, as processes on a real broker."""

import asyncio
import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import aiormq
import pytest

from holdfast_protocol import AgentClient
from tests.unit.cli.processes import Served, holdfast_async, serving

pytestmark = pytest.mark.amqp


async def taken(url: str) -> None:
    """Wait until nothing waits in the storage agent's queue: all was handed to somebody."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        async with asyncio.timeout(30):
            while True:
                queue = await channel.queue_declare("holdfast.agent.storage", passive=True)
                if queue.message_count == 0:
                    return
    finally:
        await connection.close()


# -- send --------------------------------------------------------------------------------------


async def test_send_tells_what_became_of_it_by_its_exit_status(
    fresh_amqp_url: str, tmp_path: Path
) -> None:
    async def send(*arguments: str) -> tuple[int, str]:
        done = await holdfast_async("send", "storage", *arguments, "--bus", fresh_amqp_url)
        return done.returncode, done.stdout

    code, text = await send("agent_ping", "--json")
    assert (code, json.loads(text)["error_type"]) == (1, "no_route")

    async with serving("--bus", fresh_amqp_url, cwd=tmp_path) as served:
        await served.said("ready")
        code, text = await send("storage_save", '{"task": {"title": "[b]ü[/b]"}}', "--id", "one")
        assert code == 0
        assert "success" in text
        assert '"title": "[b]ü[/b]"' in text

        code, text = await send(
            "storage_save", '{"task": {"title": "[b]ü[/b]"}}', "--id", "one", "--json"
        )
        assert (code, text.count("\n")) == (0, 1)
        assert json.loads(text)["meta"]["replayed"] is True

        code, text = await send("storage_get", '{"task_id": 99}')
        assert code == 1
        assert "not_found Task with ID 99 not found" in text

        code, text = await send("agent_ping", "--deadline", "2020-01-01T00:00:00Z", "--json")
        assert (code, json.loads(text)["error_type"]) == (1, "expired")

        code, text = await send("storage_save", '{"task": {}}', "--no-reply", "--json")
        assert (code, json.loads(text)["status"]) == (0, "sent")

    # The queue is there, and nobody serves it.
    code, text = await send("agent_ping", "--timeout", "0.5", "--json")
    assert (code, json.loads(text)["error_type"]) == (3, "timeout")


async def test_send_without_a_broker_is_no_success() -> None:
    done = await holdfast_async(
        "send", "storage", "agent_ping", "--timeout", "0.3", "--bus", "amqp://127.0.0.1:1/"
    )
    assert done.returncode == 1
    assert "unavailable" in done.stdout


# -- serve -------------------------------------------------------------------------------------


async def test_a_stopped_service_has_answered_what_it_took(
    fresh_amqp_url: str, tmp_path: Path
) -> None:
    """SIGTERM under load: exit 0, and a second process goes on; every save happens once."""
    ready = tmp_path / "ready"
    arguments = ("--bus", fresh_amqp_url, "--ready-file", str(ready))
    async with AgentClient(fresh_amqp_url, sender="test", max_batch=8) as client:
        async with serving(*arguments, cwd=tmp_path) as served:
            line = await served.said("ready")
            assert ready.exists()
            assert (line["agents"], line["bus"], line["backend"]) == (["storage"], "amqp", "sqlite")
            requests = [
                asyncio.create_task(client.storage.save({"n": number})) for number in range(2000)
            ]
            await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0
            assert served.lines[-1]["event"] == "stopped"
            assert not ready.exists()
        async with serving(*arguments, cwd=tmp_path) as second:
            await second.said("ready")
            records = await asyncio.gather(*requests)
            assert sorted(record.id for record in records) == list(range(1, 2001))
            assert await client.storage.count() == 2000
            second.signal(signal.SIGINT)
            assert await second.ended() == 0


async def test_a_second_signal_ends_what_cannot_finish(fresh_amqp_url: str, tmp_path: Path) -> None:
    async with serving("--bus", fresh_amqp_url, cwd=tmp_path) as served:
        await served.said("ready")
        with closing(sqlite3.connect(tmp_path / "holdfast.db")) as other:
            await _stuck(fresh_amqp_url, other)
            served.signal(signal.SIGTERM)
            await served.said("stopping")
            served.signal(signal.SIGTERM)
            assert await served.ended() == 1
    assert _last_words(served) == ("a second signal", 1)


async def test_what_takes_longer_than_allowed_is_ended(fresh_amqp_url: str, tmp_path: Path) -> None:
    env = {"HOLDFAST_SHUTDOWN_SECONDS": "0.2"}
    async with serving("--bus", fresh_amqp_url, env=env, cwd=tmp_path) as served:
        await served.said("ready")
        with closing(sqlite3.connect(tmp_path / "holdfast.db")) as other:
            await _stuck(fresh_amqp_url, other)
            served.signal(signal.SIGTERM)
            assert await served.ended() == 1
    assert _last_words(served) == ("shutdown_seconds were over", 1)


async def _stuck(url: str, other: sqlite3.Connection) -> None:
    """Let the agent take a save that it can't finish: another process writes into its file."""
    other.execute("BEGIN IMMEDIATE")
    async with AgentClient(url, sender="test") as client:
        await client.send("storage", "storage_save", {"task": {}})
    await taken(url)


def _last_words(served: Served) -> tuple[str, int]:
    line = served.lines[-1]
    assert line["event"] == "ended before it was done"
    return line["reason"], line["unsettled"]


async def test_declared_indexes_are_applied_at_start(fresh_amqp_url: str, tmp_path: Path) -> None:
    (tmp_path / "holdfast.toml").write_text('[indexes]\ntasks = ["owner.name"]\n')
    async with serving("--bus", fresh_amqp_url, cwd=tmp_path) as served:
        await served.said("ready")
        async with AgentClient(fresh_amqp_url, sender="test") as client:
            assert (await client.storage.index()).paths == ["owner.name"]


async def test_a_wrong_index_is_one_line(fresh_amqp_url: str, tmp_path: Path) -> None:
    env = {"HOLDFAST_INDEXES": '{"tasks": ["a..b"]}'}
    async with serving("--bus", fresh_amqp_url, env=env, cwd=tmp_path) as served:
        assert await served.ended() == 1
    assert "indexes" in str(served.lines[-1])
    assert "Traceback" not in str(served.lines)


@pytest.mark.parametrize("wrong", ["bus", "backend"])
async def test_what_cannot_be_reached_is_tried_again_and_then_told(
    fresh_amqp_url: str, tmp_path: Path, wrong: str
) -> None:
    env = {
        "HOLDFAST_BUS": fresh_amqp_url,
        "HOLDFAST_BACKEND": "sqlite:///x.db",
        "HOLDFAST_CONNECT_SECONDS": "0.3",
    }
    nowhere = {"bus": "amqp://u:geheim@127.0.0.1:1/", "backend": "redis://:geheim@127.0.0.1:1"}
    env[f"HOLDFAST_{wrong.upper()}"] = nowhere[wrong]
    async with serving(env=env, cwd=tmp_path) as served:
        assert await served.ended() == 1
    last = served.lines[-1]
    assert (last["event"], last["level"]) == ("cannot start", "error")
    assert "was not reached" in last["reason"]
    assert "geheim" not in json.dumps(served.lines)


@pytest.mark.postgres
async def test_a_missing_schema_tells_to_migrate(
    fresh_amqp_url: str, fresh_postgres_url: str
) -> None:
    async with serving("--bus", fresh_amqp_url, "--backend", fresh_postgres_url) as served:
        assert await served.ended() == 1
    (line,) = [line for line in served.lines if line.get("level") == "error"]
    assert "holdfast migrate" in line["reason"]


async def test_a_signal_before_it_is_ready_ends_it_well(tmp_path: Path) -> None:
    async with serving("--bus", "amqp://127.0.0.1:1/", cwd=tmp_path) as served:
        await served.said("No publishing connection")
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0
