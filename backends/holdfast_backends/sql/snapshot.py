"""Reading one state: what both engines' snapshots share."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from holdfast_backends.store import EventRow, Head, IndexSlot, Row, Scanned, Span

from .rows import head_of, slots_text
from .statements import Statement, Statements, scan_values

Columns: TypeAlias = tuple[Any, ...]
"""A row of a driver: its columns in the order of the statement, typed by the schema alone."""


class Session(Protocol):
    """A connection in use, in a transaction from the first statement on."""

    async def fetch(self, text: str, arguments: Sequence[object]) -> Sequence[Columns]:
        """The rows of a statement.

        Raises:
            StorageError: translated from the driver's exception.
        """
        ...


class SqlSnapshot:
    """The scans and counts of `store.Snapshot`."""

    def __init__(self, session: Session, statements: Statements) -> None:
        self._session = session
        self._statements = statements

    async def _fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Columns]:
        return await self._session.fetch(statement.text, statement.arguments(values))

    async def scan(self, span: Span, limit: int) -> Sequence[Row]:
        """As `store.Snapshot.scan`."""
        statement = self._statements.scan(span.slot, span.descending)
        return [Row(*row) for row in await self._fetch(statement, scan_values(span, limit))]

    async def scan_declared(
        self, span: Span, limit: int, declared: tuple[IndexSlot, ...]
    ) -> Scanned | None:
        """As `store.Store.scan_once`. Without rows it cannot be told."""
        statement = self._statements.scan(span.slot, span.descending, checked=True)
        values = {**scan_values(span, limit), "slots": slots_text(declared)}
        found = await self._fetch(statement, values)
        if not found or not found[0][-2]:
            return None
        return Scanned([Row(*columns[:-2]) for columns in found], found[0][-1])

    async def count(self, collection: str, now: int) -> int:
        """As `store.Snapshot.count`."""
        values = {"collection": collection, "now": now}
        rows = await self._fetch(self._statements.count, values)
        return int(rows[0][0])

    async def counts(self, now: int) -> Mapping[str, int]:
        """As `store.Snapshot.counts`."""
        rows = await self._fetch(self._statements.counts, {"now": now})
        return {str(name): int(number) for name, number in rows}

    async def expired(self, now: int, limit: int) -> Sequence[tuple[str, Row]]:
        """As `store.Snapshot.expired`."""
        rows = await self._fetch(self._statements.expired, {"now": now, "limit": limit})
        return [(name, Row(*columns)) for name, *columns in rows]

    async def heads(self) -> Mapping[str, Head]:
        """As `store.Store.heads`."""
        rows = await self._fetch(self._statements.heads, {})
        return {name: head_of(*columns) for name, *columns in rows}

    async def events(self, collection: str, after: int, limit: int) -> Sequence[EventRow]:
        """As `store.Store.events`."""
        values = {"collection": collection, "after": after, "limit": limit}
        rows = await self._fetch(self._statements.events, values)
        return [EventRow(*columns) for columns in rows]

    async def unpublished(self) -> Mapping[str, int]:
        """As `store.Store.unpublished`."""
        rows = await self._fetch(self._statements.unpublished, {})
        return {str(name): int(mark) for name, mark in rows}
