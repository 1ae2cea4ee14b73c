"""Finding a page: take a scan's rows, filter, order, cut.

A page's order is that of positions: the sort values of its keys and the record's key, as bytes
(inverted where a key descends). A cursor is the position of the last record of its page. Where
the plan gives the order, a page ends with its last record and nothing else is read; where it
covers the filter, too, no document is decoded.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from .cursors import read_cursor, write_cursor
from .encoding import MAX_INDEXED_BYTES, cut, index_value, is_cut, record_id
from .operations import Count, Find
from .outcomes import Page, Record
from .paths import Projection, lookup
from .planner import Plan, plan_scan
from .scanning import (
    CAUTIOUS_CHUNK_ROWS,
    FIRST_CHUNK_ROWS,
    Breath,
    Chunks,
    Scans,
    decoded,
    live_chunks,
)
from .sorting import Sort, is_by_id, place_of, position_of
from .store import Row, Snapshot, Span
from .values import INTERNAL, encode_json
from .workspace import Workspace

_FACTS_BYTES = 256
"""More than the facts of a record take as JSON, but for its id."""
_MIN_TRIM = 1_024
_MAX_HELD_BYTES = 16 * 1024 * 1024
_BELOW_ALL_KEYS = b""
_ABOVE_ALL_KEYS = b"\xff"


async def count(operation: Count, snapshot: Snapshot, workspace: Workspace) -> int:
    """How many records match."""
    if operation.filter.is_empty:
        stored = await snapshot.count(operation.collection, workspace.now)
        return stored + _difference(workspace, operation.collection)
    slots = workspace.usable_slots(operation.collection)
    plan = plan_scan(operation.collection, operation.filter, (), slots, limited=False)
    matches = operation.filter.matches
    breath = Breath()
    total = 0
    async with aclosing(live_chunks(plan, snapshot, workspace, CAUTIOUS_CHUNK_ROWS)) as chunks:
        async for rows in chunks:
            if plan.covers:
                total += len(rows)
                continue
            for row in rows:
                total += matches(decoded(row))
                await breath.take()
    return total


async def collection_counts(
    snapshot: Snapshot, workspace: Workspace
) -> tuple[tuple[str, int], ...]:
    """The collections that have records, by name."""
    counts = dict(await snapshot.counts(workspace.now))
    for name in {collection for collection, _change in workspace.touched_rows()}:
        counts[name] = counts.get(name, 0) + _difference(workspace, name)
    return tuple(
        sorted(
            (name, number)
            for name, number in counts.items()
            if number and not name.startswith(INTERNAL)
        )
    )


def _difference(workspace: Workspace, collection: str) -> int:
    """By how much the unit's own writes changed a collection's count."""
    return sum(
        workspace.is_live(change.row) - workspace.is_live(change.previous)
        for change in workspace.touched(collection).values()
    )


async def find(operation: Find, snapshot: Scans, workspace: Workspace) -> Page:
    """The page of a query."""
    plan = plan_scan(
        operation.collection,
        operation.filter,
        operation.sort,
        workspace.usable_slots(operation.collection),
        limited=operation.limit is not None,
    )
    start = None
    if operation.cursor is not None:
        start = read_cursor(operation.fingerprint, operation.cursor)
        if plan.ordered:
            plan = _resumed(plan, start, operation.sort)
    first = min((operation.limit or CAUTIOUS_CHUNK_ROWS) + 1, FIRST_CHUNK_ROWS)
    page = _PageBuilder(operation)
    async with aclosing(live_chunks(plan, snapshot, workspace, first)) as chunks:
        if plan.ordered:
            await _fill_in_order(page, operation, plan, start, chunks)
        else:
            await _fill_with_best(page, operation, plan, start, chunks)
    return page.finish()


def _resumed(plan: Plan, start: bytes, sort: Sort) -> Plan:
    """An ordered plan, continued behind a position."""
    value, key = place_of(start, sort)
    span = plan.span
    if is_by_id(sort):
        after = (span.low if span.slot is not None and span.low else b"", key)
    else:
        after = _place_after(value, key, span)
    return replace(plan, span=replace(span, after=after))


def _place_after(value: bytes, key: bytes, span: Span) -> tuple[bytes, bytes]:
    kept = cut(value)
    if is_cut(kept):
        # The rows of a cut value stand in the order of ids there: look at all of them again.
        return kept, _ABOVE_ALL_KEYS if span.descending else _BELOW_ALL_KEYS
    return kept, key


# -- filling a page ----------------------------------------------------------------------------


async def _fill_in_order(
    page: "_PageBuilder", operation: Find, plan: Plan, start: bytes | None, chunks: Chunks
) -> None:
    """Take matching rows as they come. Only those that share a cut index value wait for each
    other, and are put into their true order."""
    matches = operation.filter.matches
    breath = Breath()
    group: list[tuple[bytes, Row]] = []
    group_value = b""
    async for rows in chunks:
        if plan.covers and not group and _are_whole(plan, rows):
            if not page.take(rows):
                return
            continue
        for row in rows:
            await breath.take()
            value = _cut_value(plan, row)
            if group and value != group_value:
                if not page.take(_in_order(group)):
                    return
                group = []
            if not plan.covers and not matches(decoded(row)):
                continue
            if not value:
                if not page.add(row):
                    return
                continue
            position = position_of(row.key, decoded(row), operation.sort)
            if start is None or position > start:
                group.append((position, row))
                group_value = value
    page.take(_in_order(group))


def _are_whole(plan: Plan, rows: list[Row]) -> bool:
    """Whether no row can have a cut value in the plan's index: too short to hold one."""
    if plan.slot is None or plan.single:
        return True
    return all(len(row.document or b"") < MAX_INDEXED_BYTES for row in rows)


def _cut_value(plan: Plan, row: Row) -> bytes:
    """The cut index value that a row may share with others, or b"" where values are whole."""
    if plan.slot is None or _are_whole(plan, [row]):
        return b""
    value = index_value(lookup(decoded(row), plan.slot.path))
    return value if is_cut(value) else b""


def _in_order(group: list[tuple[bytes, Row]]) -> list[Row]:
    return [row for _position, row in sorted(group, key=_first)]


def _first(item: tuple[bytes, Row]) -> bytes:
    return item[0]


async def _fill_with_best(
    page: "_PageBuilder", operation: Find, plan: Plan, start: bytes | None, chunks: Chunks
) -> None:
    """Look at every row, and keep as many as a page can hold, and one more."""
    kept: list[tuple[bytes, Row]] = []
    breath = Breath()
    trim_at, held = _MIN_TRIM, 0
    async for rows in chunks:
        for row in rows:
            await breath.take()
            document = decoded(row)
            if not plan.covers and not operation.filter.matches(document):
                continue
            position = position_of(row.key, document, operation.sort)
            if start is None or position > start:
                kept.append((position, row))
                held += len(position) + len(row.document or b"")
        if len(kept) >= trim_at or held > _MAX_HELD_BYTES:
            kept = _trimmed(kept, operation)
            trim_at, held = max(_MIN_TRIM, 2 * len(kept)), 0
    page.take(_in_order(kept))


def _trimmed(kept: list[tuple[bytes, Row]], operation: Find) -> list[tuple[bytes, Row]]:
    kept.sort(key=_first)
    page = _PageBuilder(operation)
    for number, (_position, row) in enumerate(kept):
        if not page.add(row):
            return kept[: number + 1]
    return kept


class _PageBuilder:
    """Fills a page up to its limits."""

    def __init__(self, operation: Find) -> None:
        self._operation = operation
        self._limit = operation.limit
        self._max_bytes = operation.max_bytes
        self._projection = None if operation.fields is None else Projection(operation.fields)
        self._records: list[Record] = []
        self._bytes = 1  # the brackets, less the comma that the first record has not
        self._last: Row | None = None
        self._more = False

    def take(self, rows: Sequence[Row]) -> bool:
        """Take from rows in order; False when the page is full."""
        room = len(rows) if self._limit is None else self._limit - len(self._records)
        size = len(rows) + sum(len(row.document or b"") for row in rows)
        fits = self._max_bytes is None or self._bytes + size <= self._max_bytes
        if not fits or self._projection is not None or self._operation.with_meta:
            return all(self.add(row) for row in rows)
        self._bytes += size
        taken = rows[:room]
        self._records.extend(Record(*row) for row in taken)  # type: ignore[arg-type]  # live rows
        self._last = taken[-1] if taken else self._last
        self._more = len(taken) < len(rows)
        return not self._more

    def add(self, row: Row) -> bool:
        """Take one more; False when it does not fit and the page ends before it."""
        if self._limit is not None and len(self._records) >= self._limit:
            self._more = True
            return False
        document = row.document or b""
        if self._projection is not None:
            document = encode_json(self._projection.of(decoded(row)))
        size = self._bytes + len(document) + self._size_beside(row)
        if self._max_bytes is not None and size > self._max_bytes and self._records:
            self._more = True
            return False
        self._bytes = size
        self._records.append(_record(row, document))
        self._last = row
        return True

    def _size_beside(self, row: Row) -> int:
        """What a record counts for beside its document: a comma, and its facts."""
        if not self._operation.with_meta:
            return 1
        return 1 + _FACTS_BYTES + len(encode_json(record_id(row.key)))

    def finish(self) -> Page:
        """The page."""
        cursor = None
        if self._more and self._last is not None:
            last = position_of(self._last.key, decoded(self._last), self._operation.sort)
            cursor = write_cursor(self._operation.fingerprint, last)
        return Page(tuple(self._records), cursor, self._bytes)


def _record(row: Row, document: bytes) -> Record:
    return Record(row.key, row.version, document, row.created_at, row.updated_at, row.expires_at)
