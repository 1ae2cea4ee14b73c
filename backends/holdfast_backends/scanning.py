"""Scanning: the live rows of a plan's span, chunk by chunk, with a unit's own writes laid over."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from time import monotonic
from typing import Protocol, TypeAlias

from .encoding import index_value
from .paths import lookup
from .planner import Plan
from .store import IndexSlot, Row, Span, Store
from .values import JsonObject, decode_document
from .workspace import Workspace

CAUTIOUS_CHUNK_ROWS = 31
"""How many rows a scan asks for first, when nobody said how many are wanted."""
FIRST_CHUNK_ROWS = 128
"""How many rows a scan asks for first, when the page does not ask for fewer."""
_MAX_CHUNK_ROWS = 2_048
_CHUNK_BYTES = 2 * 1024 * 1024
_BREATH_SECONDS = 0.01

Chunks: TypeAlias = AsyncGenerator[list[Row], None]


class Scans(Protocol):
    """What a page is found in: the part of a snapshot that it needs."""

    async def scan(self, span: Span, limit: int) -> Sequence[Row]:
        """As `store.Snapshot.scan`."""
        ...


class NeedsSnapshotError(Exception):
    """One scan was not enough, or could not be trusted."""


class SingleScan:
    """A single scan of a store, which is one state by itself."""

    def __init__(self, store: Store, declared: tuple[IndexSlot, ...]) -> None:
        self._store = store
        self._declared = declared
        self._used = False
        self.sequence = 0
        """The collection's sequence in that state; known once scanned."""

    async def scan(self, span: Span, limit: int) -> Sequence[Row]:
        """The rows.

        Raises:
            NeedsSnapshotError: at the second scan, or when the store cannot answer it at once.
        """
        scanned = None
        if not self._used:
            self._used = True
            scanned = await self._store.scan_once(span, limit, self._declared)
        if scanned is None:
            raise NeedsSnapshotError
        self.sequence = scanned.sequence
        return scanned.rows


class Breath:
    """Lets others on the event loop have their turn during long work."""

    def __init__(self) -> None:
        self._due = monotonic() + _BREATH_SECONDS

    async def take(self) -> None:
        """Pause if it is time."""
        if monotonic() > self._due:
            await asyncio.sleep(0)
            self._due = monotonic() + _BREATH_SECONDS


def decoded(row: Row) -> JsonObject:
    """A live row's document."""
    return decode_document(row.document or b"{}")


async def live_chunks(plan: Plan, snapshot: Scans, workspace: Workspace, first: int) -> Chunks:
    """The span's records as the unit sees them: stored ones, with its own writes laid over."""
    touched = workspace.touched(plan.span.collection)
    own = _own_rows(plan, (change.row for change in touched.values()), workspace)
    async with aclosing(_stored_chunks(plan, snapshot, first)) as chunks:
        async for rows in chunks:
            live = [row for row in rows if workspace.is_live(row) and row.key not in touched]
            yield list(_merged(plan, own, live)) if own else live
    yield [row for _place, row in reversed(own)]


_Placed: TypeAlias = tuple[tuple[bytes, bytes], Row]


def _merged(plan: Plan, own: list[_Placed], rows: list[Row]) -> Iterator[Row]:
    """Rows in order, with the unit's own (the first one last) taken from their list in time."""
    for row in rows:
        place = _row_place(plan, row)
        while own and _precedes(own[-1][0], place, plan.span):
            yield own.pop()[1]
        yield row


def _own_rows(plan: Plan, rows: Iterable[Row], workspace: Workspace) -> list[_Placed]:
    """The unit's own live rows of the span, the first one last."""
    placed = [(_row_place(plan, row), row) for row in rows if workspace.is_live(row)]
    inside = [item for item in placed if _is_inside(item[0], plan.span)]
    inside.sort(key=lambda item: item[0], reverse=not plan.span.descending)
    return inside


def _row_place(plan: Plan, row: Row) -> tuple[bytes, bytes]:
    if plan.slot is None:
        return b"", row.key
    return index_value(lookup(decoded(row), plan.slot.path)), row.key


def _is_inside(place: tuple[bytes, bytes], span: Span) -> bool:
    if span.low is not None and place[0] < span.low:
        return False
    if span.high is not None and place[0] >= span.high:
        return False
    return span.after is None or _precedes(span.after, place, span)


def _precedes(one: tuple[bytes, bytes], other: tuple[bytes, bytes], span: Span) -> bool:
    return one > other if span.descending else one < other


async def _stored_chunks(plan: Plan, snapshot: Scans, first: int) -> Chunks:
    """The rows of a span, in chunks of bounded size."""
    span, size = plan.span, first
    while True:
        rows = list(await snapshot.scan(span, size))
        yield rows
        if len(rows) < size:
            return
        span = replace(span, after=_row_place(plan, rows[-1]))
        average = sum(len(row.document or b"") for row in rows) // len(rows) + 1
        size = max(1, min(_MAX_CHUNK_ROWS, _CHUNK_BYTES // average))
