"""Orders, and places in them.

A place in an order is a position: the sort values of its keys and the record's key, as bytes
(inverted where a key descends), so that positions compare as the records do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from .encoding import inverted, is_record_key, sort_value, split_sort_value
from .errors import InvalidValueError
from .paths import Path, lookup, parse_path
from .values import JsonObject

ID: Final[Path] = ("id",)
MAX_SORT_KEYS = 100
_DIRECTIONS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class SortKey:
    """One level of an order."""

    path: Path
    descending: bool = False


Sort: TypeAlias = tuple[SortKey, ...]
"""An order; ties fall to the id, in the direction of the last key. No path stands in it twice,
and nothing behind the id."""


def parse_sort(pairs: Sequence[Sequence[object]] | None) -> Sort:
    """The order of `[["path", "asc"|"desc"], …]`, without what cannot matter.

    Raises:
        InvalidValueError: naming the bad place below `sort`.
    """
    if pairs is None:
        return ()
    if not isinstance(pairs, (list, tuple)):
        raise InvalidValueError('sort is a list of ["path", "asc"|"desc"]', ("sort",))
    if len(pairs) > MAX_SORT_KEYS:
        raise InvalidValueError(f"sort has at most {MAX_SORT_KEYS} keys", ("sort",))
    return _shortened([_sort_key(pair, position) for position, pair in enumerate(pairs)])


def _sort_key(pair: object, position: int) -> SortKey:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or pair[1] not in _DIRECTIONS:
        raise InvalidValueError('a sort key is ["path", "asc"|"desc"]', ("sort", position))
    return SortKey(parse_path(pair[0], ("sort", position, 0)), pair[1] == "desc")


def _shortened(keys: list[SortKey]) -> Sort:
    """The same order without repeated paths; a last direction that they gave stays."""
    kept: dict[Path, SortKey] = {}
    for key in keys:
        kept.setdefault(key.path, key)
        if key.path == ID:
            return tuple(kept.values())
    if keys and keys[-1].descending is not list(kept.values())[-1].descending:
        kept[ID] = SortKey(ID, keys[-1].descending)
    return tuple(kept.values())


def is_by_id(sort: Sequence[SortKey]) -> bool:
    """Whether an order is that of the ids alone."""
    return not sort or sort[0].path == ID


def position_of(key: bytes, document: JsonObject, sort: Sort) -> bytes:
    """Where a record stands in an order."""
    parts: list[bytes] = []
    descending = False
    for level in sort:
        descending = level.descending
        if level.path != ID:
            value = sort_value(lookup(document, level.path))
            parts.append(inverted(value) if descending else value)
    parts.append(inverted(key) if descending else key)
    return b"".join(parts)


def place_of(position: bytes, sort: Sort) -> tuple[bytes, bytes]:
    """The first sort value (b"" where the order is by id) and the record's key of a position.

    Raises:
        InvalidValueError: these bytes are no position of this order.
    """
    rest, first = position, b""
    descending = False
    try:
        for level in sort:
            descending = level.descending
            if level.path != ID:
                value, rest = _split(rest, descending=descending)
                first = first or value
    except ValueError as error:
        raise _bad_cursor() from error
    key = inverted(rest) if descending else rest
    if not is_record_key(key):
        raise _bad_cursor()
    return first, key


def _split(position: bytes, *, descending: bool) -> tuple[bytes, bytes]:
    value, _rest = split_sort_value(inverted(position) if descending else position)
    return value, position[len(value) :]


def _bad_cursor() -> InvalidValueError:
    return InvalidValueError("this cursor was altered or belongs to another query", ("cursor",))
