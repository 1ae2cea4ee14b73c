"""A backend over a store: the contract of `contract.py`, kept once for all stores."""

import asyncio
import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from .contract import Capabilities
from .errors import UnavailableError
from .executor import Clock, Executor
from .indexing import build_indexes
from .methods import BackendMethods
from .operations import Operation
from .outbox import Outbox, StoreOutbox
from .outcomes import IndexState, Outcome
from .store import CommitConflictError, Row, Store, Wanted
from .workspace import Workspace

DEFAULT_RETENTION_SECONDS = 30 * 24 * 3600
DEFAULT_EVENT_RETENTION_SECONDS = 24 * 3600
_SWEEP_LIMIT = 1_000
_REBUILD_SECONDS = 5.0
_log = logging.getLogger("holdfast.backends")


def system_clock() -> int:
    """Microseconds since 1970-01-01T00:00:00Z by this machine's clock."""
    return time.time_ns() // 1_000


class StoreBackend(BackendMethods):
    """A backend over a store; an async context manager.

    Args:
        store: the engine. The backend opens and closes it.
        clock: gives the instant, microseconds since 1970.
        retention_seconds: how long a message's identity and reply are kept.
        keep_events: whether changes are put into the outbox.
        event_retention_seconds: how long they are kept there.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock = system_clock,
        retention_seconds: float = DEFAULT_RETENTION_SECONDS,
        keep_events: bool = True,
        event_retention_seconds: float = DEFAULT_EVENT_RETENTION_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._retention = round(retention_seconds * 1_000_000)
        self._keep_events = keep_events
        self._event_retention = round(event_retention_seconds * 1_000_000)
        self._outbox = StoreOutbox(store, keeps_events=keep_events)
        self._executor = Executor(
            store, clock, keeps_events=keep_events, on_events=self._outbox.notice
        )
        self._builders: dict[str, asyncio.Task[None]] = {}
        self._unbuilt: set[str] = set()

    @property
    def capabilities(self) -> Capabilities:
        """What this backend guarantees, as it is configured."""
        return self._store.capabilities

    @property
    def outbox(self) -> Outbox:
        """The events of its changes."""
        return self._outbox

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """As `contract.Backend.execute`."""
        outcomes = await self._executor.execute(operations)
        for operation, outcome in zip(operations, outcomes, strict=True):
            if isinstance(outcome, IndexState) and not outcome.ready:
                self._build(getattr(operation, "collection", ""))
        return outcomes

    async def sweep(self) -> int:
        """As `contract.Backend.sweep`: at most 1,000 records, 1,000 identities and 1,000 events of
        each collection at once."""
        now = self._clock()
        forgotten = await self._store.forget_replies(now - self._retention, _SWEEP_LIMIT)
        expired = await self._expired(now)
        buried = 0
        for collection in sorted({name for name, _row in expired}):
            keys = [row.key for name, row in expired if name == collection]
            buried += await self._bury(collection, keys)
        pruned = await self._outbox.prune(now, self._event_retention, _SWEEP_LIMIT)
        return forgotten + buried + pruned

    async def _expired(self, now: int) -> Sequence[tuple[str, Row]]:
        try:
            async with self._store.read() as snapshot:
                return await snapshot.expired(now, _SWEEP_LIMIT)
        except CommitConflictError:
            return ()  # somebody writes: the next sweep will find them

    async def _bury(self, collection: str, keys: list[bytes]) -> int:
        """Turn expired rows into tombstones, looking again under the lock."""
        try:
            async with self._store.write([collection]) as unit:
                wanted = Wanted([collection], [(collection, key) for key in keys], [])
                loaded = await unit.load(wanted)
                # The instant of this unit, so that events stand in the order of their time.
                workspace = Workspace(loaded, self._clock(), keeps_events=self._keep_events)
                buried = workspace.bury_expired(collection)
                if buried:
                    await unit.commit(workspace.changes())
            self._outbox.notice()
            return buried
        except CommitConflictError:
            return 0  # somebody writes there: the next sweep will find what is left

    # -- indexes -------------------------------------------------------------------------------

    def _build(self, collection: str) -> None:
        self._unbuilt.add(collection)
        if collection not in self._builders:
            task = asyncio.create_task(self._keep_building(collection))
            self._builders[collection] = task

    async def _keep_building(self, collection: str) -> None:
        while collection in self._unbuilt:
            self._unbuilt.discard(collection)
            try:
                await build_indexes(self._store, collection)
                continue
            except UnavailableError:
                _log.info("the store is away; the indexes of %s are built later", collection)
            except Exception:  # noqa: BLE001 — told, and tried again: nobody awaits this task
                _log.exception("the indexes of %s could not be built; trying again", collection)
            self._unbuilt.add(collection)
            await asyncio.sleep(_REBUILD_SECONDS)
        # Nothing is awaited since the last look: who declares an index now starts a new task.
        del self._builders[collection]

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        try:
            for collection, head in (await self._store.heads()).items():
                if not all(slot.ready for slot in head.slots):
                    self._build(collection)
        except BaseException:
            await self._store.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        builders = list(self._builders.values())
        for task in builders:
            task.cancel()
        await asyncio.gather(*builders, return_exceptions=True)
        await self._store.__aexit__(exc_type, exc, traceback)
