"""What more processes, more collections and partitioned tables bring. Without targets: the
figures stand in docs/scaling.md."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from statistics import mean
from time import perf_counter
from typing import ClassVar

import aio_pika

from benchmarks.agent import storage_agent
from benchmarks.cases.scaling_tables import PARTITIONS, partitioned
from benchmarks.documents import task
from benchmarks.environment import IN_FLIGHT, Bench
from benchmarks.holdfast import migrated
from benchmarks.load import Load, Request, alternating_rates
from benchmarks.model import Case, Measure, Sample, Series
from holdfast_backends import Backend
from holdfast_backends.opening import open_backend
from holdfast_backends.operations import Get, Identity, Operation, Save, Update
from holdfast_backends.outcomes import Failed
from holdfast_protocol import AgentClient

_SPREAD = 16
_PROCESSES = (1, 2, 4)
_PLACES = {"one": 1, "spread": _SPREAD, "many": 128}
_WRITERS = 4
_TURNS = 3
_READY_SECONDS = 60.0
_DIGEST = b"\x07" * 16


class Processes(Case):
    """Saves by 1, 2 and 4 agent processes on one queue and one PostgreSQL database, and by two
    namespaces of one process each, with a database each.

    Each has a namespace and a database of its own, and they take turns; processes that wait are
    idle. `one` saves into one collection, `spread` into 16 in turn, so that every batch of every
    process holds all of them, `many` into 128, which is more than a unit locks by name, so that it
    locks everything. All run on this machine, beside the client and the servers: where its cores
    are busy with one process already, more of them cannot bring more, and the figure is what
    sharing costs.
    """

    name = "processes"
    title = f"storage_save by several agent processes on PostgreSQL, {IN_FLIGHT} in flight"
    series: ClassVar = {
        **{
            f"{where}, {processes} on a queue": Series(
                f"agent processes: {processes}, collections: {collections}", "/s"
            )
            for where, collections in _PLACES.items()
            for processes in _PROCESSES
        },
        "two shards": Series("2 namespaces, a process and a database each, one collection", "/s"),
    }

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            loads = {}
            for processes in _PROCESSES:
                client = await _service(stack, bench, f"queue-{processes}", processes)
                for where, collections in _PLACES.items():
                    request = _saves(client, collections)
                    loads[f"{where}, {processes} on a queue"] = Load(request, IN_FLIGHT)
            shards = [await _service(stack, bench, f"shard-{number}", 1) for number in (1, 2)]
            saves = [_saves(client, 1) for client in shards]
            loads["two shards"] = Load(lambda number: saves[number % 2](number), IN_FLIGHT)

            async def measure() -> Sample:
                return await alternating_rates(
                    loads,
                    seconds=bench.options.seconds,
                    warm_seconds=bench.options.warm_seconds,
                    stage=bench.stage,
                )

            yield measure


async def _service(
    stack: AsyncExitStack, bench: Bench, namespace: str, processes: int
) -> AgentClient:
    """A client of so many agent processes, on a namespace and a database of their own."""
    enter = stack.enter_async_context
    database = await migrated(await enter(bench.database()))
    for _ in range(processes):
        await enter(storage_agent(bench.amqp_url, database, namespace=namespace))
    await _all_consume(bench.amqp_url, f"{namespace}.agent.storage", processes)
    return await enter(AgentClient(bench.amqp_url, sender="bench", namespace=namespace))


async def _all_consume(amqp_url: str, queue: str, processes: int) -> None:
    """Return when so many consume the queue: `storage_agent` only waits for the first."""
    async with asyncio.timeout(_READY_SECONDS), await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        while True:
            declared = await channel.declare_queue(queue, passive=True)
            if (declared.declaration_result.consumer_count or 0) >= processes:
                return
            await asyncio.sleep(0.1)


def _saves(client: AgentClient, collections: int) -> Request:
    async def save(number: int) -> object:
        name = f"tasks-{number % collections}"
        return await client.storage.save(task(number), collection=name)

    return save


class Collections(Case):
    """The PostgreSQL backend alone: 4 writers, each a store and connections of its own, as four
    processes would be, on one collection or each on its own; batches of 1, 16 and 256 saves.

    A writer executes one batch after the other, as the runner of a process does. They share one
    event loop here, so that what Python costs is the same for both; the difference is what the
    turns on a collection cost.
    """

    name = "collections"
    title = f"the PostgreSQL backend alone: {_WRITERS} writers on one collection or on {_WRITERS}"
    series: ClassVar = {
        f"{where}, {size} a batch": Series(f"{what}, batches of {size} saves", "/s")
        for size in (1, 16, 256)
        for where, what in (("one", "one collection"), ("each", "a collection for each writer"))
    }

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            database = await migrated(await enter(bench.database()))
            writers = [await enter(open_backend(database)) for _ in range(_WRITERS)]
            numbers = count(1)
            seconds = bench.options.seconds / _TURNS

            async def turn() -> Sample:
                sample = {}
                for size in (1, 16, 256):
                    for where, names in (
                        ("one", ["shared"] * _WRITERS),
                        ("each", [f"own-{number}" for number in range(_WRITERS)]),
                    ):
                        name = f"{where}, {size} a batch"
                        bench.stage(name)
                        sample[name] = await _together(writers, names, size, numbers, seconds)
                return sample

            async def measure() -> Sample:
                await turn()  # warms up, and does not count
                return _means([await turn() for _ in range(_TURNS)])

            yield measure


async def _together(
    writers: Sequence[Backend],
    names: Sequence[str],
    size: int,
    numbers: "count[int]",
    seconds: float,
) -> float:
    """Saves per second of all writers."""
    begin = perf_counter()
    done = 0

    async def write(backend: Backend, name: str) -> None:
        nonlocal done
        while perf_counter() - begin < seconds:
            await _executed(backend, _new(name, size, numbers))
            done += size

    async with asyncio.TaskGroup() as group:
        for backend, name in zip(writers, names, strict=True):
            group.create_task(write(backend, name))
    return done / (perf_counter() - begin)


class Partitioned(Case):
    """The PostgreSQL backend alone on the tables as migrated, and on the same tables partitioned
    by hash (16 partitions each: records and events by collection, messages by their id).

    One batch of 256 after the other, over 16 collections in turn: new records, then gets, then
    updates of what is there. The tables are small: what large ones gain is not measured here,
    only what every statement pays.
    """

    name = "partitioned"
    title = f"the PostgreSQL backend alone, tables plain and in {PARTITIONS} hash partitions"
    series: ClassVar = {
        f"{table}, {kind}": Series(f"{kind} on {table} tables, batches of 256", "/s")
        for kind in ("saves", "gets", "updates")
        for table in ("plain", "partitioned")
    }

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            backends = {}
            for table in ("plain", "partitioned"):
                database = await migrated(await enter(bench.database()))
                if table == "partitioned":
                    await partitioned(database)
                backends[table] = await enter(open_backend(database))
            numbers, ids = count(1), dict.fromkeys(backends, 0)
            seconds = bench.options.seconds / _TURNS

            async def turn() -> Sample:
                sample = {}
                for table, backend in backends.items():
                    bench.stage(table)
                    measured = _Measured(backend, numbers, ids[table])
                    sample[f"{table}, saves"] = await measured.rate("saves", seconds)
                    ids[table] = measured.rounds
                    sample[f"{table}, gets"] = await measured.rate("gets", seconds)
                    sample[f"{table}, updates"] = await measured.rate("updates", seconds)
                return sample

            async def measure() -> Sample:
                return _means([await turn() for _ in range(_TURNS)])

            yield measure


class _Measured:
    """Batches of 256 on 16 collections in turn, of which each has `rounds` times 256 records."""

    def __init__(self, backend: Backend, numbers: "count[int]", rounds: int) -> None:
        self._backend = backend
        self._numbers = numbers
        self.rounds = rounds

    async def rate(self, kind: str, seconds: float) -> float:
        """Operations per second; whole rounds over all collections."""
        spent, done = 0.0, 0
        while spent < seconds:
            for number in range(_SPREAD):
                operations = self._batch(kind, f"own-{number}")
                begin = perf_counter()
                await _executed(self._backend, operations)
                spent += perf_counter() - begin
                done += len(operations)
            if kind == "saves":
                self.rounds += 1
        return done / spent

    def _batch(self, kind: str, name: str) -> list[Operation]:
        if kind == "saves":
            return _new(name, IN_FLIGHT, self._numbers)
        there = self.rounds * IN_FLIGHT
        chosen = [next(self._numbers) * 7_919 % there + 1 for _ in range(IN_FLIGHT)]
        if kind == "gets":
            return [Get(record, name) for record in chosen]
        return [
            Update(record, {"completed": True}, collection=name, identity=self._identity())
            for record in chosen
        ]

    def _identity(self) -> Identity:
        return Identity("bench", f"message-{next(self._numbers)}", _DIGEST)


def _new(name: str, size: int, numbers: "count[int]") -> list[Operation]:
    return [
        Save(task(number), name, identity=Identity("bench", f"message-{number}", _DIGEST))
        for number, _ in zip(numbers, range(size), strict=False)
    ]


async def _executed(backend: Backend, operations: Sequence[Operation]) -> None:
    outcomes = await backend.execute(operations)
    if any(isinstance(outcome, Failed) for outcome in outcomes):
        raise RuntimeError("an operation failed")


def _means(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: mean(one[name] for one in turns) for name in turns[0]}
