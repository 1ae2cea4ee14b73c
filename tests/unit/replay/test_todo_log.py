"""`examples/logs/todo.jsonl`: the to-do workflow answers the same on every backend."""

import asyncio
from pathlib import Path

import pytest

from holdfast_agents.replay import (
    Comparison,
    Replayer,
    Report,
    Target,
    open_bus_target,
    open_store_target,
    read_entries,
)
from holdfast_agents.wiring import ServiceOptions, open_service
from holdfast_backends.opening import BackendOptions
from holdfast_backends.sql.migrate import migrate
from tests.unit.replay.todo_workflow import TODO_LOG, record


async def replayed(target: Target, log: Path = TODO_LOG) -> Report:
    with log.open("rb") as lines:
        return await Replayer(target, comparison=Comparison()).run(read_entries(lines))


def assert_equal(report: Report) -> None:
    assert report.samples == []
    assert report.ok
    assert report.compared == len(TODO_LOG.read_bytes().splitlines())


async def test_memory() -> None:
    async with open_store_target("memory://") as target:
        assert_equal(await replayed(target))


async def test_sqlite(tmp_path: Path) -> None:
    async with open_store_target(f"sqlite:///{tmp_path / 'todo.db'}") as target:
        assert_equal(await replayed(target))


@pytest.mark.postgres
async def test_postgres(fresh_postgres_url: str) -> None:
    await migrate(fresh_postgres_url)
    async with open_store_target(fresh_postgres_url) as target:
        assert_equal(await replayed(target))


@pytest.mark.redis
async def test_redis(redis_url: str, fresh_redis_namespace: str) -> None:
    options = ServiceOptions(backend_options=BackendOptions(namespace=fresh_redis_namespace))
    async with open_store_target(redis_url, options) as target:
        assert_equal(await replayed(target))


@pytest.mark.amqp
async def test_over_a_bus(fresh_amqp_url: str) -> None:
    async with open_service(bus=fresh_amqp_url) as service, asyncio.TaskGroup() as group:
        group.create_task(service.run())
        async with open_bus_target(fresh_amqp_url) as target:
            assert_equal(await replayed(target))
        await service.stop()


async def test_a_second_replay_on_the_same_store_differs_and_says_why() -> None:
    async with open_store_target("memory://") as target:
        await replayed(target)
        again = await replayed(target)
    assert again.found == {"tasks": 5}
    assert again.differing > 0


async def test_the_log_is_what_the_workflow_records_today(tmp_path: Path) -> None:
    await record(tmp_path / "todo.jsonl")
    assert (tmp_path / "todo.jsonl").read_bytes() == TODO_LOG.read_bytes()
