"""What is read at once is read of one state, also while another process writes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from holdfast_backends.backend import system_clock
from holdfast_backends.executor import Executor
from holdfast_backends.operations import Get, Operation, Save, Transaction, Update
from holdfast_backends.outcomes import Batched, Found, Outcome
from holdfast_backends.store import Store

RECORDS = 600
"""More than any store looks up in one part."""


@asynccontextmanager
async def _writing(store: Store) -> AsyncIterator[None]:
    """Change the first and the last record, always both at once, as long as the context is open."""
    writer = Executor(store, system_clock)
    await writer.execute([Save({"id": number, "n": 0}) for number in range(1, RECORDS + 1)])
    stopped = asyncio.Event()

    async def write() -> int:
        count = 0
        while not stopped.is_set():
            both = (Update(1, {"n": count}), Update(RECORDS, {"n": count}))
            (outcome,) = await writer.execute([Transaction(both)])
            assert isinstance(outcome, Batched)
            count += 1
        return count

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        stopped.set()
        assert await task > 0


def _sequence_of(found: Outcome) -> int:
    """The last sequence of the collection when the writer made this version of a record."""
    assert isinstance(found, Found)
    return RECORDS + 2 * (found.record.version - 1)


@pytest.mark.parametrize(
    ("operations", "reads"),
    [
        ([Get(1)], 300),
        ([Get(1), Get(RECORDS)], 300),
        ([Get(number) for number in range(1, RECORDS + 1)], 30),
        ([Transaction(tuple(Get(number) for number in range(1, RECORDS + 1)))], 30),
    ],
    ids=["one get", "two gets", "many gets", "a batch of gets"],
)
async def test_gets_beside_a_writer_see_one_state(
    pair: tuple[Store, Store], operations: Sequence[Operation], reads: int
) -> None:
    reader = Executor(pair[0], system_clock)
    async with _writing(pair[1]):
        for _read in range(reads):
            outcomes: Sequence[Outcome] = await reader.execute(operations)
            if isinstance(outcomes[0], Batched):
                outcomes = outcomes[0].outcomes
            first, last = outcomes[0], outcomes[-1]
            assert _sequence_of(first) == _sequence_of(last)
            assert {_told(outcome) for outcome in outcomes} == {_sequence_of(first)}


def _told(found: Outcome) -> int:
    assert isinstance(found, Found)
    return found.sequence
