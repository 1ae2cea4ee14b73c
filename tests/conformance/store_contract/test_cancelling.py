"""A cancellation at any moment leaves all of a unit or nothing of it, and a working store."""

import asyncio
from contextlib import suppress

from holdfast_backends.encoding import integer_key
from holdfast_backends.store import Changes, Head, RowChange, Store, Wanted
from tests.conformance.store_contract.words import (
    TASKS,
    contents,
    event,
    keep,
    load,
    outbox,
    reply,
    row,
)

DEADLINE = 30.0
STEPS = range(0, 120, 3)


async def _cancelled_after(steps: int, task: asyncio.Task[None]) -> None:
    """Let the loop turn so often, then cancel; each turn is a chance for an answer to come."""
    for _ in range(steps):
        if task.done():
            break
        await asyncio.sleep(0.0001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _unit(store: Store, number: int) -> None:
    async with store.write([TASKS]) as unit:
        place = (TASKS, integer_key(number))
        await unit.load(Wanted([TASKS], [place], [("me", str(number))]))
        changes = Changes(heads={TASKS: Head(number + 1, sequence=number)})
        changes.rows[place] = RowChange(None, row(number, {"n": number}))
        changes.replies["me", str(number)] = reply(str(number))
        changes.events[TASKS] = [event(number)]
        await unit.commit(changes)


async def test_a_cancelled_unit_is_whole_or_nothing(store: Store) -> None:
    for number, steps in enumerate(STEPS, start=1):
        await _cancelled_after(steps, asyncio.create_task(_unit(store, number)))
        place = (TASKS, integer_key(number))
        loaded = await load(store, Wanted([], [place], [("me", str(number))]))
        events = await store.events(TASKS, number - 1, 1)
        assert len(loaded.rows) == len(loaded.replies) == len(events)
    await asyncio.wait_for(keep(store, row(1_000, {})), DEADLINE)
    assert len(await contents(store)) == len(await outbox(store)) + 1


async def test_cancelled_reads_leave_a_working_store(store: Store) -> None:
    await keep(store, *(row(number, {"text": "x" * 100}) for number in range(1, 200)))

    async def read() -> None:
        async with store.read() as snapshot:
            await snapshot.load(Wanted([TASKS], [], []))
            await snapshot.counts(0)

    for steps in STEPS:
        await _cancelled_after(steps, asyncio.create_task(read()))
    assert len(await asyncio.wait_for(contents(store), DEADLINE)) == 199
    await asyncio.wait_for(keep(store, row(1_000, {})), DEADLINE)


async def test_one_that_waits_for_a_lock_can_be_cancelled(store: Store) -> None:
    async with store.write([TASKS]) as unit:
        await unit.load(Wanted([TASKS], [], []))
        for steps in (1, 10, 50):
            await _cancelled_after(steps, asyncio.create_task(_unit(store, 1)))
    await asyncio.wait_for(_unit(store, 2), DEADLINE)
    assert [kept.key for kept in await contents(store)][-1] == integer_key(2)
