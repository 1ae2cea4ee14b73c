"""The database that all simulated processes meet at.

What is kept and how is the in-memory store's; what is simulated is what makes it a database: it
outlives processes, several use it at once, and units lock what they change, or notice at the
commit that somebody came between.
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from holdfast_backends.memory import MemoryStore
from holdfast_backends.store import Changes, CommitConflictError, Head, Snapshot
from tests.simulation.locks import LockTable
from tests.simulation.world import World

T = TypeVar("T")


class Core(MemoryStore):
    """What the database keeps."""

    def copy(self) -> "Core":
        """The same state, which does not change any more."""
        copy = Core()
        copy._collections = {
            name: replace(
                rows,
                rows=dict(rows.rows),
                live_keys=list(rows.live_keys),
                expiring=set(rows.expiring),
            )
            for name, rows in self._collections.items()
        }
        copy._heads = dict(self._heads)
        copy._replies = self._replies  # only ever looked up by units, which see the present
        return copy

    def knows_any(self, changes: Changes) -> bool:
        """Whether a reply of these changes is kept already."""
        return any(identity in self._replies for identity in changes.replies)

    def head(self, collection: str) -> Head:
        """The collection's head."""
        return self._heads.get(collection, Head())


class Database:
    """The database.

    Attributes:
        away_until: until when nobody reaches it.
        locks: whether units lock their collections; else the commit compares.
    """

    def __init__(self, world: World, *, locks: bool) -> None:
        self.world = world
        self.core = Core()
        self.locks = locks
        self.table = LockTable()
        self.away_until = 0.0
        self.revisions: dict[str, int] = {}
        self.revision = 0

    def go_away(self, seconds: float) -> None:
        """Nobody reaches it for a while; what was committed stays."""
        self.world.tell(f"the database is away: {seconds:.3f} s")
        self.away_until = self.world.now + seconds

    def commit(self, changes: Changes) -> None:
        """Apply it. Raises CommitConflictError where an identity is kept already."""
        if self.core.knows_any(changes):
            raise CommitConflictError
        self.core.commit(changes)
        self.revision += 1
        for name in (*changes.heads, *(name for name, _ in changes.rows), *changes.fenced):
            self.revisions[name] = self.revision
        if self.world.is_traced:
            rows = [(name, key.hex(), one.row.version) for (name, key), one in changes.rows.items()]
            self.world.tell(f"committed {rows} {[key[1] for key in changes.replies]}")


def immediate(work: Coroutine[Any, Any, T]) -> T:
    """The result of what never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("it waited")


async def reading(core: Core, read: Callable[[Snapshot], Coroutine[Any, Any, T]]) -> T:
    async with core.read() as snapshot:
        return await read(snapshot)
