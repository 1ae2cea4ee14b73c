"""Who is told that he was too late is told that nothing of it will come, either."""

from dataclasses import replace

import pytest

from holdfast_backends.errors import DeadlineError
from holdfast_backends.executor import Executor
from holdfast_backends.memory import MemoryStore
from holdfast_backends.operations import Acquire, Operation, Save, Transaction
from holdfast_backends.outcomes import Failed
from holdfast_backends.store import Changes
from holdfast_backends.testing.harness import identify

NOW = 1_000_000
LATE = replace(identify(), deadline=NOW)
IN_TIME = replace(identify(), deadline=NOW + 1)


class Noting(MemoryStore):
    """Notes what is committed."""

    def __init__(self) -> None:
        super().__init__()
        self.committed: list[Changes] = []

    def commit(self, changes: Changes) -> None:
        self.committed.append(changes)
        super().commit(changes)


@pytest.mark.parametrize(
    ("late", "collections"),
    [
        (Save({}, identity=LATE), {"tasks"}),
        (Acquire("mine", "me", 10, LATE), {"$locks"}),
        (Transaction((Save({}), Save({}, collection="notes")), identity=LATE), {"tasks", "notes"}),
    ],
)
async def test_a_late_message_keeps_its_own_delivery_that_is_under_way_from_committing(
    late: Operation, collections: set[str]
) -> None:
    store = Noting()
    (outcome,) = await Executor(store, lambda: NOW).execute([late])
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, DeadlineError)
    assert [changes.fenced for changes in store.committed] == [collections]


async def test_a_message_in_time_fences_nobody() -> None:
    store = Noting()
    await Executor(store, lambda: NOW).execute([Save({}, identity=IN_TIME)])
    assert [changes.fenced for changes in store.committed] == [set()]
