"""Which rows to look at for a query: a declared index narrows them down, or gives the order.

A plan never decides what matches: every row it yields is still asked by the filter, so a plan
can only be slow, not wrong. Rules, simple on purpose: an equality on an index beats the index
that gives the order, which beats a range on another index; a page without a limit has no use
for an order that must be walked to the end anyway.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .encoding import MAX_INDEXED_BYTES, NUMBER_CLASS, STRING_CLASS, cut, is_cut, sort_value
from .filters import And, At, Compare, Equal, Every, Filter, Node, Prefix, Test
from .paths import Path
from .sorting import SortKey, is_by_id
from .store import IndexSlot, Span
from .values import JsonValue

_ONE_VALUE = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """A span to scan, and what that already settles.

    Args:
        span: which rows, in which order.
        slot: the index in use, None for the order of ids.
        ordered: the rows come in the order of the query.
        covers: every live row of the span matches the filter.
        single: all rows of the span have the same, whole index value.
    """

    span: Span
    slot: IndexSlot | None
    ordered: bool
    covers: bool
    single: bool = False


@dataclass(frozen=True, slots=True)
class _Range:
    """A range of index values: from `low` (inclusive) up to `high` (exclusive)."""

    low: bytes
    high: bytes
    rank: int
    """How much it promises to leave out: `_ONE_VALUE`, 2 bounded on both sides, 1 on one."""

    def narrowed(self, other: "_Range") -> "_Range":
        low, high = max(self.low, other.low), min(self.high, other.high)
        sides = (low > max(self.low[:1], other.low[:1])) + (len(high) > 1)
        return _Range(low, high, max(self.rank, other.rank, sides))


def plan_scan(
    collection: str,
    where: Filter,
    sort: Sequence[SortKey],
    slots: Sequence[IndexSlot],
    *,
    limited: bool = True,
) -> Plan:
    """The span to scan for a query. `limited` says that a first part of the order will do."""
    usable = {slot.path: slot for slot in slots if slot.ready}
    ranges = _ranges(where.root)
    by_id = is_by_id(sort)
    # An index on the id itself orders no better than the keys do.
    by_order = usable.get(sort[0].path) if len(sort) == 1 and not by_id else None
    best = max(
        (slot for path, slot in usable.items() if path in ranges),
        key=lambda slot: (ranges[slot.path].rank, slot is by_order),
        default=None,
    )
    best_rank = ranges[best.path].rank if best is not None else 0
    # Half a range may hold nearly everything: walking in order and stopping early beats it.
    stops_early = limited and best_rank < 2 and (by_id or by_order is not None)
    if best is not None and not stops_early and (best_rank > 2 or by_order is None):
        return _plan(collection, best, ranges[best.path], where, sort)
    if by_order is not None:
        return _plan(collection, by_order, ranges.get(by_order.path), where, sort)
    span = Span(collection, descending=by_id and _descends(sort))
    return Plan(span, None, by_id, where.is_empty)


def _plan(
    collection: str,
    slot: IndexSlot,
    limits: _Range | None,
    where: Filter,
    sort: Sequence[SortKey],
) -> Plan:
    low = limits.low if limits is not None else None
    high = limits.high if limits is not None else None
    span = Span(collection, slot.number, low, high, descending=_descends(sort))
    single = limits is not None and limits.rank == _ONE_VALUE and not is_cut(limits.low)
    # All rows of one whole value stand in the order of their ids.
    ordered = single if is_by_id(sort) else len(sort) == 1 and sort[0].path == slot.path
    covers = where.is_empty or _is_said_by(where.root, slot.path)
    return Plan(span, slot, ordered, covers, single)


def _is_said_by(node: Node, path: Path) -> bool:
    """Whether ranges of the index on a path say exactly what the filter says."""
    if isinstance(node, And):
        return all(_is_said_by(part, path) for part in node.parts)
    if not isinstance(node, At) or node.path != path:
        return False
    tests = node.test.tests if isinstance(node.test, Every) else (node.test,)
    return all(_is_exact(test) for test in tests)


def _is_exact(test: Test) -> bool:
    match test:
        case Equal(operand):
            return not isinstance(operand, (list, dict)) and not is_cut(cut(sort_value(operand)))
        case Compare(operand=operand) | Prefix(operand=operand):
            return not is_cut(cut(sort_value(operand)))
        case _:
            return False


def _descends(sort: Sequence[SortKey]) -> bool:
    return bool(sort) and sort[0].descending


def _ranges(root: Node) -> dict[Path, _Range]:
    """What must hold of the value at each path, as far as ranges can say it."""
    found: dict[Path, _Range] = {}
    for path, test in _conjuncts(root):
        limits = _range(test)
        if limits is not None:
            found[path] = found[path].narrowed(limits) if path in found else limits
    return found


def _conjuncts(node: Node) -> Iterator[tuple[Path, Test]]:
    if isinstance(node, And):
        for part in node.parts:
            yield from _conjuncts(part)
    elif isinstance(node, At):
        tests = node.test.tests if isinstance(node.test, Every) else (node.test,)
        for test in tests:
            yield node.path, test


def _range(test: Test) -> _Range | None:
    match test:
        case Equal(operand):
            return _equal_to(operand)
        case Prefix(operand):
            return _starting_with(operand)
        case Compare(operator, operand):
            return _compared(operator, operand)
        case _:
            return None


def _equal_to(operand: JsonValue) -> _Range:
    value = cut(sort_value(operand))
    # Arrays and objects share one value each: an index finds all of them, not the equal ones.
    return _Range(value, _next(value), 1 if isinstance(operand, (list, dict)) else _ONE_VALUE)


def _starting_with(operand: str) -> _Range:
    stem = sort_value(operand)[:-1][: MAX_INDEXED_BYTES - 1]
    return _Range(stem, _successor(stem), 2 if operand else 1)


def _compared(operator: str, operand: int | float | str) -> _Range:
    kind = STRING_CLASS if isinstance(operand, str) else NUMBER_CLASS
    value = cut(sort_value(operand))
    # Where the value was cut, equals may be larger or smaller: the filter decides.
    loose = is_cut(value)
    if operator in ("$gt", "$gte"):
        low = value if loose or operator == "$gte" else _next(value)
        return _Range(low, _successor(kind), 1)
    high = _next(value) if loose or operator == "$lte" else value
    return _Range(kind, high, 1)


def _next(value: bytes) -> bytes:
    """The smallest bytes above a value: values are prefix-free, so nothing lies between."""
    return value + b"\x00"


def _successor(stem: bytes) -> bytes:
    """The smallest bytes above everything that begins with the stem (which never ends in 0xff:
    neither a class nor UTF-8 holds that byte)."""
    return stem[:-1] + bytes((stem[-1] + 1,))
