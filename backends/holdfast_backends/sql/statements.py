"""The statements that both engines share, written once and compiled for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    LargeBinary,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.sql import ClauseElement

from holdfast_backends.store import Span
from holdfast_backends.values import INTERNAL

from .schema import collections, events, published, records

_ABOVE = b"\xff" * 1_024
"""Above every key and every index value: those are shorter, and begin with a small byte."""

_RECORD = (
    records.c.key,
    records.c.version,
    records.c.document,
    records.c.created_at,
    records.c.updated_at,
    records.c.expires_at,
)
_LIVE = records.c.document.is_not(None)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement's text and the order of its parameters."""

    text: str
    names: tuple[str, ...]
    defaults: Mapping[str, object]

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """The values in the order that the text wants."""
        return [values.get(name, self.defaults.get(name)) for name in self.names]


class Statements:
    """The shared statements in the language of one engine."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._scans: dict[tuple[int | None, bool, bool], Statement] = {}

    def scan(self, slot: int | None, descending: bool, *, checked: bool = False) -> Statement:
        """The live rows between two places. One text for each slot and direction.

        Parameters: as `scan_values`. Where `checked`, two columns more tell whether the
        collection's declared indexes are those of the parameter `slots`, and its sequence.
        """
        key = (slot, descending, checked)
        if key not in self._scans:
            statement = _scan(slot, descending)
            if checked:
                statement = statement.add_columns(_are_declared(), _sequence())
            self._scans[key] = self._compiled(statement)
        return self._scans[key]

    @cached_property
    def count(self) -> Statement:
        """How many records a collection has. Parameters: collection, now."""
        here = records.c.collection == bindparam("collection", type_=Text)
        return self._compiled(select(func.count()).select_from(records).where(here, *_unexpired()))

    @cached_property
    def counts(self) -> Statement:
        """How many records each collection has. Parameters: now."""
        name = records.c.collection
        return self._compiled(select(name, func.count()).where(*_unexpired()).group_by(name))

    @cached_property
    def expired(self) -> Statement:
        """Expired rows with their collections, the longest expired first. now, limit."""
        expires_at = records.c.expires_at
        return self._compiled(
            select(records.c.collection, *_RECORD)
            .where(_LIVE, expires_at.is_not(None), expires_at <= _integer("now"))
            .order_by(expires_at)
            .limit(_integer("limit"))
        )

    @cached_property
    def heads(self) -> Statement:
        """All heads. No parameters."""
        head = collections.c
        return self._compiled(select(head.name, head.highest_id, head.slots, head.sequence))

    @cached_property
    def events(self) -> Statement:
        """Events behind a sequence. Parameters: collection, after, limit."""
        here = events.c.collection == bindparam("collection", type_=Text)
        columns = [column for column in events.c if column is not events.c.collection]
        return self._compiled(
            select(*columns)
            .where(here, events.c.sequence > _integer("after"))
            .order_by(events.c.sequence)
            .limit(_integer("limit"))
        )

    @cached_property
    def unpublished(self) -> Statement:
        """Collections with changes past their mark, and the mark. No parameters."""
        head = collections.c
        mark = func.coalesce(published.c.sequence, 0)
        marked = collections.outerjoin(published, published.c.collection == head.name)
        statement = select(head.name, mark).select_from(marked)
        is_internal = head.name.startswith(literal_column(f"'{INTERNAL}'"))
        return self._compiled(statement.where(head.sequence > mark, ~is_internal))

    def _compiled(self, statement: ClauseElement) -> Statement:
        compiled = statement.compile(dialect=self._dialect)
        names = tuple(getattr(compiled, "positiontup", None) or ())
        return Statement(str(compiled), names, dict(compiled.params or {}))


def scan_values(span: Span, limit: int) -> dict[str, object]:
    """The parameters of a scan: everything strictly between two places, at most `limit` rows."""
    low = (span.low or b"", b"")
    high = (_ABOVE, _ABOVE) if span.high is None else (span.high, b"")
    if span.after is not None and span.descending:
        high = min(high, span.after)
    elif span.after is not None:
        low = max(low, span.after)
    return {
        "collection": span.collection,
        "low_value": low[0],
        "low_key": low[1],
        "high_value": high[0],
        "high_key": high[1],
        "limit": limit,
    }


def _scan(slot: int | None, descending: bool) -> Select[*tuple[Any, ...]]:
    key = records.c.key
    here: list[ColumnElement[bool]] = [records.c.collection == bindparam("collection", type_=Text)]
    here.append(_LIVE)
    if slot is None:
        here += [key > _binary("low_key"), key < _binary("high_key")]
        order = [key]
    else:
        value = records.c[f"i{slot}"]
        here.append(value.is_not(None))  # so that the planner knows the partial index will do
        # Row comparisons walk the index from place to place; `OR` of the parts would not.
        here.append(tuple_(value, key) > tuple_(_binary("low_value"), _binary("low_key")))
        here.append(tuple_(value, key) < tuple_(_binary("high_value"), _binary("high_key")))
        order = [value, key]
    directed = [column.desc() for column in order] if descending else order
    return select(*_RECORD).where(*here).order_by(*directed).limit(_integer("limit"))


def _are_declared() -> ColumnElement[bool]:
    """Whether a collection declares these indexes; null for one that has no head."""
    head = collections.c
    here = head.name == bindparam("collection", type_=Text)
    return select(head.slots == bindparam("slots", type_=Text)).where(here).scalar_subquery()


def _sequence() -> ColumnElement[int]:
    """A collection's sequence."""
    head = collections.c
    here = head.name == bindparam("collection", type_=Text)
    return select(head.sequence).where(here).scalar_subquery()


def _unexpired() -> Sequence[ColumnElement[bool]]:
    expires_at = records.c.expires_at
    return (_LIVE, or_(expires_at.is_(None), expires_at > _integer("now")))


def _binary(name: str) -> ColumnElement[bytes]:
    return bindparam(name, type_=LargeBinary)


def _integer(name: str) -> ColumnElement[int]:
    return bindparam(name, type_=BigInteger)
