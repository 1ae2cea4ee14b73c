"""Finding a page: scan a plan's span, lay the unit's own writes over it, filter, order, cut.

A page's order is that of positions: the sort values of its keys and the record's key, as bytes
(inverted where a key descends). A cursor is the position of the last record of its page.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeAlias

from .cursors import read_cursor, write_cursor
from .encoding import cut, index_value, inverted, is_cut, sort_value, split_sort_value
from .operations import Count, Find, SortKey
from .outcomes import Page, Record
from .paths import lookup, project
from .planner import Plan, plan_scan
from .store import Row, Snapshot, Span
from .values import JsonObject, decode_document, encode_json
from .workspace import Workspace

_ID = ("id",)
_MIN_TRIM = 1_024
_FIRST_CHUNK_ROWS = 128
_MAX_CHUNK_ROWS = 2_048
_CHUNK_BYTES = 2 * 1024 * 1024
_BELOW_ALL_KEYS = b""
_ABOVE_ALL_KEYS = b"\xff"


@dataclass(frozen=True, slots=True)
class Match:
    """A matching record, where it stands in the order of its query, and in which cut group."""

    position: bytes
    record: Record
    group: bytes = b""


async def count(operation: Count, snapshot: Snapshot, workspace: Workspace) -> int:
    """How many records match."""
    if operation.filter.is_empty:
        stored = await snapshot.count(operation.collection, workspace.now)
        return stored + _difference(workspace, operation.collection)
    slots = workspace.usable_slots(operation.collection)
    plan = plan_scan(operation.collection, operation.filter, (), slots, limited=False)
    total = 0
    async for row in _live_rows(plan, snapshot, workspace, _FIRST_CHUNK_ROWS):
        total += operation.filter.matches(_decoded(row))
    return total


async def collection_counts(
    snapshot: Snapshot, workspace: Workspace
) -> tuple[tuple[str, int], ...]:
    """The collections that have records, by name."""
    counts = dict(await snapshot.counts(workspace.now))
    for name in {collection for collection, _change in workspace.touched_rows()}:
        counts[name] = counts.get(name, 0) + _difference(workspace, name)
    return tuple(sorted((name, number) for name, number in counts.items() if number))


def _difference(workspace: Workspace, collection: str) -> int:
    """By how much the unit's own writes changed a collection's count."""
    return sum(
        workspace.is_live(change.row) - workspace.is_live(change.previous)
        for change in workspace.touched(collection).values()
    )


async def find(operation: Find, snapshot: Snapshot, workspace: Workspace) -> Page:
    """The page of a query."""
    slots = workspace.usable_slots(operation.collection)
    plan = plan_scan(
        operation.collection,
        operation.filter,
        operation.sort,
        slots,
        limited=operation.limit is not None,
    )
    start = None
    if operation.cursor is not None:
        start = read_cursor(operation.fingerprint, operation.cursor)
        if plan.ordered:
            plan = _resumed(plan, start, operation.sort)
    first = min((operation.limit or _FIRST_CHUNK_ROWS) + 1, _FIRST_CHUNK_ROWS)
    rows = _live_rows(plan, snapshot, workspace, first)
    page = _PageBuilder(operation)
    async with aclosing(_matches(operation, plan, start, rows)) as matches:
        if plan.ordered:
            await page.fill(_regrouped(matches))
        else:
            page.take(await _best(matches, operation))
    return page.finish()


def position_of(row: Row, document: JsonObject, sort: tuple[SortKey, ...]) -> bytes:
    """Where a record stands in an order: byte strings that compare as the records do."""
    parts: list[bytes] = []
    descending = False
    for key in sort:
        descending = key.descending
        if key.path == _ID:
            break  # ids are unique: nothing behind them can matter
        value = sort_value(lookup(document, key.path))
        parts.append(inverted(value) if descending else value)
    parts.append(inverted(row.key) if descending else row.key)
    return b"".join(parts)


def _resumed(plan: Plan, start: bytes, sort: tuple[SortKey, ...]) -> Plan:
    """An ordered plan, continued behind a position."""
    span = plan.span
    position = inverted(start) if span.descending else start
    if not sort or sort[0].path == _ID:
        after = (span.low if span.slot is not None and span.low else b"", position)
    else:
        after = _place_after(position, span)
    return replace(plan, span=replace(span, after=after))


def _place_after(position: bytes, span: Span) -> tuple[bytes, bytes]:
    value, key = split_sort_value(position)
    kept = cut(value)
    if is_cut(kept):
        # The rows of a cut value stand in the order of ids there: look at all of them again.
        return kept, _ABOVE_ALL_KEYS if span.descending else _BELOW_ALL_KEYS
    return kept, key


async def _matches(
    operation: Find, plan: Plan, start: bytes | None, rows: AsyncIterator[Row]
) -> AsyncGenerator[Match, None]:
    everything = operation.filter.is_empty
    fields = operation.fields
    async for row in rows:
        document = _decoded(row)
        if not everything and not operation.filter.matches(document):
            continue
        position = position_of(row, document, operation.sort)
        if start is not None and position <= start:
            continue
        text = row.document or b""
        if fields is not None:
            text = encode_json(project(document, fields))
        yield Match(position, _record(row, text), _cut_group(plan, document))


def _cut_group(plan: Plan, document: JsonObject) -> bytes:
    """The cut index value that a record shares with others, or b"" where values are whole."""
    if plan.slot is None:
        return b""
    value = index_value(lookup(document, plan.slot.path))
    return value if is_cut(value) else b""


async def _regrouped(matches: AsyncIterator[Match]) -> AsyncIterator[Match]:
    """Put the matches that share a cut index value into their true order."""
    waiting: list[Match] = []
    async for match in matches:
        if waiting and match.group != waiting[0].group:
            for earlier in sorted(waiting, key=_by_position):
                yield earlier
            waiting = []
        if match.group:
            waiting.append(match)
        else:
            yield match
    for earlier in sorted(waiting, key=_by_position):
        yield earlier


def _by_position(match: Match) -> bytes:
    return match.position


async def _best(matches: AsyncIterator[Match], operation: Find) -> list[Match]:
    """The first matches in order: as many as a page can hold, and one more."""
    kept: list[Match] = []
    trim_at = _MIN_TRIM
    async for match in matches:
        kept.append(match)
        if len(kept) >= trim_at:
            kept = _trimmed(kept, operation)
            trim_at = max(_MIN_TRIM, 2 * len(kept))
    return _trimmed(kept, operation)


def _trimmed(kept: list[Match], operation: Find) -> list[Match]:
    kept.sort(key=_by_position)
    page = _PageBuilder(operation)
    for number, match in enumerate(kept):
        if not page.add(match):
            return kept[: number + 1]
    return kept


async def _live_rows(
    plan: Plan, snapshot: Snapshot, workspace: Workspace, first: int
) -> AsyncIterator[Row]:
    """The span's records as the unit sees them: stored ones, with its own writes laid over."""
    touched = workspace.touched(plan.span.collection)
    if not touched:
        async for row in _stored_rows(plan, snapshot, first):
            if workspace.is_live(row):
                yield row
        return
    own = _own_rows(plan, (change.row for change in touched.values()), workspace)
    async for row in _stored_rows(plan, snapshot, first):
        if row.key in touched or not workspace.is_live(row):
            continue
        place = _row_place(plan, row)
        while own and _precedes(own[-1][0], place, plan.span):
            yield own.pop()[1]
        yield row
    while own:
        yield own.pop()[1]


_Placed: TypeAlias = tuple[tuple[bytes, bytes], Row]


def _own_rows(plan: Plan, rows: Iterable[Row], workspace: Workspace) -> list[_Placed]:
    """The unit's own live rows of the span, the first one last."""
    placed = [(_row_place(plan, row), row) for row in rows if workspace.is_live(row)]
    inside = [item for item in placed if _is_inside(item[0], plan.span)]
    inside.sort(key=lambda item: item[0], reverse=not plan.span.descending)
    return inside


def _row_place(plan: Plan, row: Row) -> tuple[bytes, bytes]:
    if plan.slot is None:
        return b"", row.key
    return index_value(lookup(_decoded(row), plan.slot.path)), row.key


def _is_inside(place: tuple[bytes, bytes], span: Span) -> bool:
    if span.low is not None and place[0] < span.low:
        return False
    if span.high is not None and place[0] >= span.high:
        return False
    return span.after is None or _precedes(span.after, place, span)


def _precedes(one: tuple[bytes, bytes], other: tuple[bytes, bytes], span: Span) -> bool:
    return one > other if span.descending else one < other


async def _stored_rows(plan: Plan, snapshot: Snapshot, first: int) -> AsyncIterator[Row]:
    """The rows of a span, in chunks of bounded size."""
    span, size = plan.span, first
    while True:
        rows = await snapshot.scan(span, size)
        for row in rows:
            yield row
        if len(rows) < size:
            return
        span = replace(span, after=_row_place(plan, rows[-1]))
        average = sum(len(row.document or b"") for row in rows) // len(rows) + 1
        size = max(1, min(_MAX_CHUNK_ROWS, _CHUNK_BYTES // average))


def _decoded(row: Row) -> JsonObject:
    return decode_document(row.document or b"{}")


class _PageBuilder:
    """Fills a page up to its limits."""

    def __init__(self, operation: Find) -> None:
        self._operation = operation
        self._records: list[Record] = []
        self._bytes = 1  # the brackets, less the comma that the first record has not
        self._last = b""
        self._more = False

    async def fill(self, matches: AsyncIterator[Match]) -> None:
        """Take from matches in order until the page is full."""
        async for match in matches:
            if not self.add(match):
                return

    def take(self, matches: list[Match]) -> None:
        """Take from matches in order until the page is full."""
        for match in matches:
            if not self.add(match):
                return

    def add(self, match: Match) -> bool:
        """Take one more; False when it does not fit and the page ends before it."""
        size = len(match.record.document) + self._operation.record_bytes
        if self._records and self._is_over(size):
            self._more = True
            return False
        self._bytes += size
        self._records.append(match.record)
        self._last = match.position
        return True

    def _is_over(self, size: int) -> bool:
        operation = self._operation
        if operation.limit is not None and len(self._records) >= operation.limit:
            return True
        return operation.max_bytes is not None and self._bytes + size > operation.max_bytes

    def finish(self) -> Page:
        """The page."""
        cursor = None
        if self._more:
            cursor = write_cursor(self._operation.fingerprint, self._last)
        return Page(tuple(self._records), cursor)


def _record(row: Row, document: bytes) -> Record:
    return Record(row.key, document, row.version, row.created_at, row.updated_at, row.expires_at)
