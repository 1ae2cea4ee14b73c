"""Backends alone, without a bus: `execute` of batches."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from statistics import mean
from time import perf_counter
from typing import ClassVar

from benchmarks.documents import task
from benchmarks.environment import Bench
from benchmarks.holdfast import migrated
from benchmarks.model import Case, Goal, Measure, Sample, Series
from benchmarks.peers.hand_written import UnnestWriter, unnest_writer
from holdfast_backends import Backend, InMemoryBackend
from holdfast_backends.opening import open_backend
from holdfast_backends.operations import Delete, Get, Identity, Operation, Save, Update
from holdfast_backends.outcomes import Failed
from holdfast_backends.values import JsonObject

BATCH = 256
_TURNS = 3
_DIGEST = b"\x07" * 16


def identified_saves(first: int, size: int = BATCH) -> list[Operation]:
    """Saves without an id, each with the identity of a message of its own."""
    return [
        Save(task(number), identity=Identity("bench", f"message-{number}", _DIGEST))
        for number in range(first, first + size)
    ]


async def execution_rate(
    backend: Backend, batches: Callable[[], Sequence[Operation]], seconds: float
) -> float:
    """Operations per second of `execute` alone; making the operations is not counted."""
    spent, done = 0.0, 0
    while spent < seconds:
        operations = batches()
        begin = perf_counter()
        outcomes = await backend.execute(operations)
        spent += perf_counter() - begin
        done += len(operations)
        if any(isinstance(outcome, Failed) for outcome in outcomes):
            raise RuntimeError("an operation failed")
    return done / spent


class PostgresAlone(Case):
    """`execute` of 256 saves with identity, beside `unnest` by hand of the same rows.

    One batch after the other on both sides, each a transaction of its own, fsync on. Holdfast
    is given checked operations and encodes the documents; by hand they are encoded too, and
    nothing is checked. Holdfast writes rows into two tables (documents, and messages for
    exactly once); the target holds against the documents' rows alone.
    """

    name = "postgres"
    title = f"the PostgreSQL backend alone: execute of {BATCH} saves with identity"
    series: ClassVar = {
        "execute": Series("execute of 256 saves with identity", "/s"),
        "unnest": Series("asyncpg unnest by hand, the documents' rows, 256 a statement", "/s"),
        "unnest of both": Series("the same with the messages' rows, one transaction", "/s"),
    }
    goals = (Goal("execute", "at least", 0.3, ("unnest",)),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            database = await migrated(await enter(bench.database()))
            backend = await enter(open_backend(database))
            writer = await enter(unnest_writer(database))
            numbers = count(1, BATCH)
            seconds = bench.options.seconds / 2 / _TURNS
            for _ in range(20):
                await backend.execute(identified_saves(next(numbers)))
                await _written(writer, numbers, both=True, seconds=0.01)

            async def turn() -> Sample:
                bench.stage("execute")
                executed = await execution_rate(
                    backend, lambda: identified_saves(next(numbers)), seconds
                )
                bench.stage("unnest")
                documents = await _written(writer, numbers, both=False, seconds=seconds)
                both = await _written(writer, numbers, both=True, seconds=seconds)
                return {"execute": executed, "unnest": documents, "unnest of both": both}

            async def measure() -> Sample:
                turns = [await turn() for _ in range(_TURNS)]
                return {name: mean(one[name] for one in turns) for name in turns[0]}

            yield measure


async def _written(
    writer: UnnestWriter, numbers: "count[int]", *, both: bool, seconds: float
) -> float:
    """Rows per second by hand; making the documents is not counted."""
    spent, done = 0.0, 0
    write = writer.both if both else writer.documents
    while spent < seconds:
        first = next(numbers)
        batch = range(first, first + BATCH)
        tasks = [task(number) for number in batch]
        begin = perf_counter()
        await write(batch, tasks)
        spent += perf_counter() - begin
        done += BATCH
    return done / spent


class MemoryAlone(Case):
    """The in-memory backend, batches of 256 on 10,000 records.

    The mix of use: half gets, 30 % saves (half of them new), 15 % updates of two members, 5 %
    deletes of what was just saved. Operations are made and checked outside of the measured
    time, as in the agent they are made by the codec's side.
    """

    name = "memory"
    title = "the memory backend alone"
    series: ClassVar = {
        "mix": Series("50 % get, 30 % save, 15 % update, 5 % delete", "/s"),
        "saves": Series("saves of new records", "/s"),
        "identified saves": Series("saves of new records with identity", "/s"),
        "gets": Series("gets", "/s"),
    }
    goals = (Goal("mix", "at least", 100_000),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        seconds = bench.options.seconds / 4

        async def measure() -> Sample:
            async with InMemoryBackend() as backend:
                mix = _Mix(backend)
                await mix.fill()
                numbers = count(1, BATCH)
                bench.stage("mix")
                sample = {"mix": await execution_rate(backend, mix.batch, seconds)}
                bench.stage("single kinds")
                loads: dict[str, Callable[[], Sequence[Operation]]] = {
                    "gets": mix.gets,
                    "saves": lambda: [Save(task(n), "new") for n in range(BATCH)],
                    "identified saves": lambda: identified_saves(next(numbers)),
                }
                for name, batches in loads.items():
                    sample[name] = await execution_rate(backend, batches, seconds)
                return sample

        yield measure


class _Mix:
    """Batches of typical use on records of known ids."""

    _RECORDS = 10_000

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._random = random.Random(7)

    async def fill(self) -> None:
        for first in range(0, self._RECORDS, BATCH):
            numbers = range(first, min(first + BATCH, self._RECORDS))
            await self._backend.execute([Save({**task(n), "id": n + 1}) for n in numbers])

    def gets(self) -> list[Operation]:
        return [Get(self._id()) for _ in range(BATCH)]

    def batch(self) -> list[Operation]:
        operations: list[Operation] = []
        while len(operations) < BATCH:
            kind = self._random.random()
            if kind < 0.5:
                operations.append(Get(self._id()))
            elif kind < 0.65:
                operations.append(Save({**task(len(operations)), "id": self._id()}))
            elif kind < 0.75:
                operations.append(Save(task(len(operations))))
            elif kind < 0.9:
                changes: JsonObject = {"completed": True, "owner": {"shift": 2}}
                operations.append(Update(self._id(), changes))
            else:
                # A save and its delete: the records that others use stay.
                name = f"short-lived-{len(operations)}"
                operations += [Save({**task(1), "id": name}), Delete(name)]
        return operations

    def _id(self) -> int:
        return self._random.randint(1, self._RECORDS)
