"""Rows of the tables as the contract's types, and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from holdfast_backends.store import (
    EventRow,
    Head,
    IndexSlot,
    RowChange,
    RowKey,
    index_entries,
)
from holdfast_backends.values import JsonValue, decode_json, encode_json

from .schema import SLOTS

RecordColumns: TypeAlias = tuple[bytes, int, bytes | None, int, int, int | None]
"""A record's columns in the order of `Row`'s fields: what statements select."""

_NO_SLOTS = "[]"


def head_of(highest_id: int, slots: str, sequence: int) -> Head:
    """The head of a collection's columns."""
    return Head(highest_id + 1, slots_of(slots), sequence)


HeadColumns: TypeAlias = tuple[str, int, str, int]


def head_rows(heads: Mapping[str, Head]) -> list[HeadColumns]:
    """The columns of changed heads."""
    return [
        (name, head.next_id - 1, slots_text(head.slots), head.sequence)
        for name, head in heads.items()
    ]


def event_rows(events: Mapping[str, Sequence[EventRow]]) -> list[tuple[object, ...]]:
    """The columns of new events, in the order of `EventRow`'s fields behind the collection."""
    return [(name, *event) for name, rows in events.items() for event in rows]


def slots_of(text: str) -> tuple[IndexSlot, ...]:
    """The declared indexes of the JSON that `slots_text` wrote."""
    if text == _NO_SLOTS:
        return ()
    entries = decode_json(text.encode())
    return tuple(_slot_of(entry) for entry in entries) if isinstance(entries, list) else ()


def _slot_of(entry: JsonValue) -> IndexSlot:
    match entry:
        case [int(number), [*segments], bool(ready), int(token)]:
            return IndexSlot(number, tuple(str(segment) for segment in segments), ready, token)
        case _:
            raise ValueError("no index slot")


def slots_text(slots: Iterable[IndexSlot]) -> str:
    """JSON of declared indexes."""
    entries: list[JsonValue] = [
        [slot.number, [*slot.path], slot.ready, slot.token] for slot in slots
    ]
    return encode_json(entries).decode()


def slots_used(slots: Mapping[str, Sequence[IndexSlot]]) -> int:
    """How many index columns a commit writes: the first so many, 0 where nothing is declared."""
    numbers = [slot.number for declared in slots.values() for slot in declared]
    used = max(numbers, default=-1) + 1
    if used > SLOTS:
        raise ValueError(f"there are {SLOTS} index slots")
    return used


def index_columns(
    rows: Iterable[tuple[RowKey, RowChange]],
    slots: Mapping[str, tuple[IndexSlot, ...]],
    used: int,
) -> list[list[bytes | None]]:
    """The first `used` index columns of the new rows, column by column."""
    columns: list[list[bytes | None]] = [[] for _ in range(used)]
    if not used:
        return columns
    for (collection, _key), change in rows:
        entries = index_entries(change.row, slots.get(collection, ()))
        for number, column in enumerate(columns):
            column.append(entries.get(number))
    return columns
