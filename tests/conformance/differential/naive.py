"""Equality, order, filters and patches, as naively as the wire contract puts them.

Nothing here is taken from the code under test: numbers are fractions, objects are sets of pairs,
a filter is walked as the JSON that it is. Only lawful input is expected.
"""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from fractions import Fraction
from typing import Any

Document = dict[str, Any]
Filters = dict[str, Any]
Sort = Sequence[tuple[str, bool]]

MISSING: Any = object()


class NotPossibleError(Exception):
    """A change that this document does not allow."""


def kind_of(value: Any) -> str:
    """The JSON type of a value, in the words of the contract."""
    if value is MISSING or value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def essence(value: Any) -> Any:
    """What two equal values share, and no others."""
    kind = kind_of(value)
    if kind == "number":
        return kind, Fraction(value)
    if kind == "array":
        return kind, tuple(essence(item) for item in value)
    if kind == "object":
        return kind, frozenset((key, essence(item)) for key, item in value.items())
    return kind, None if value is MISSING else value


def at(document: Document, path: str) -> Any:
    """The value at a dotted path; it leads through objects only."""
    value: Any = document
    for segment in path.split("."):
        if not isinstance(value, dict) or segment not in value:
            return MISSING
        value = value[segment]
    return value


# -- filters -----------------------------------------------------------------------------------


def matches(filters: Filters, document: Document) -> bool:
    """Whether all entries hold."""
    return all(_entry_holds(key, wanted, document) for key, wanted in filters.items())


def _entry_holds(key: str, wanted: Any, document: Document) -> bool:
    match key:
        case "$and":
            return all(matches(part, document) for part in wanted)
        case "$or":
            return any(matches(part, document) for part in wanted)
        case "$not":
            return not matches(wanted, document)
        case _:
            return _condition_holds(at(document, key), wanted)


def _condition_holds(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and any(key.startswith("$") for key in wanted):
        return all(_operator_holds(name, value, operand) for name, operand in wanted.items())
    return bool(essence(value) == essence(wanted))


def _operator_holds(name: str, value: Any, operand: Any) -> bool:
    equal = bool(essence(value) == essence(operand))
    match name:
        case "$eq":
            return equal
        case "$ne":
            return not equal
        case "$in":
            return any(essence(value) == essence(choice) for choice in operand)
        case "$nin":
            return not _operator_holds("$in", value, operand)
        case "$exists":
            return operand is (value is not MISSING)
        case "$contains" if isinstance(value, list):
            return any(essence(item) == essence(operand) for item in value)
        case "$contains":
            return isinstance(value, str) and isinstance(operand, str) and operand in value
        case "$prefix":
            return isinstance(value, str) and value[: len(operand)] == operand
        case "$not":
            return not _condition_holds(value, operand)
        case _:
            return _compares(name, value, operand)


def _compares(name: str, value: Any, operand: Any) -> bool:
    if kind_of(value) != kind_of(operand) or kind_of(value) not in ("number", "string"):
        return False
    left, right = essence(value)[1], essence(operand)[1]
    match name:
        case "$gt":
            return bool(left > right)
        case "$gte":
            return bool(left >= right)
        case "$lt":
            return bool(left < right)
        case _:
            return bool(left <= right)


# -- order -------------------------------------------------------------------------------------

_CLASSES = ["null", "boolean", "number", "string", "array", "object"]


def rank(value: Any) -> tuple[int, Any]:
    """What values sort by: their class, and within scalars their value."""
    kind = kind_of(value)
    inner = essence(value)[1] if kind in ("boolean", "number", "string") else 0
    return _CLASSES.index(kind), inner


def id_rank(record_id: int | str) -> tuple[bool, Any]:
    """Integers before strings."""
    return isinstance(record_id, str), record_id


Place = tuple[tuple[Any, bool], ...]
"""Where a document stands: a rank and whether it descends, for each key and at last the id."""


def deciding(sort: Sort) -> Sort:
    """The keys that can decide: behind the id, nothing is left to tell two records apart."""
    paths = [path for path, _descending in sort]
    return sort[: paths.index("id") + 1] if "id" in paths else sort


def place(document: Document, sort: Sort) -> Place:
    """Where a document stands in an order; the id follows the direction of the last key."""
    keys = [(rank(at(document, path)), descending) for path, descending in sort]
    return (*keys, (id_rank(document["id"]), bool(sort) and sort[-1][1]))


def comes_before(one: Place, other: Place) -> bool:
    """Whether one place is before another of the same order."""
    for (left, descending), (right, _same) in zip(one, other, strict=True):
        if left != right:
            return bool((left > right) if descending else (left < right))
    return False


# -- changes -----------------------------------------------------------------------------------


def merge(target: Any, patch: Any) -> Any:
    """The pseudo-code of RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def increment(document: Document, path: str, amount: int | float) -> None:
    """Add at a path, from 0 where nothing is."""

    def add(present: Any) -> Any:
        if kind_of(present) != "number" or present is MISSING:
            raise NotPossibleError
        total = present + amount
        if isinstance(total, int) and not -(2**63) <= total < 2**63:
            raise NotPossibleError
        if isinstance(total, float) and total in (float("inf"), float("-inf")):
            raise NotPossibleError
        return total

    _change(document, path, 0, add)


def append(document: Document, path: str, values: list[Any]) -> None:
    """Add to the array at a path, an empty one where nothing is."""

    def extend(present: Any) -> Any:
        if not isinstance(present, list):
            raise NotPossibleError
        return present + deepcopy(values)

    _change(document, path, [], extend)


def _change(document: Document, path: str, start: Any, change: Callable[[Any], Any]) -> None:
    *parents, last = path.split(".")
    node = document
    for segment in parents:
        node = node.setdefault(segment, {})
        if not isinstance(node, dict):
            raise NotPossibleError
    node[last] = change(node.get(last, start))


def project(document: Document, paths: Sequence[str]) -> Document:
    """Only the named paths, nested as they were, and the id."""
    kept: Document = {"id": document["id"]}
    for path in sorted(paths, key=len):
        value = at(document, path)
        if value is MISSING:
            continue
        *parents, last = path.split(".")
        node = kept
        for segment in parents:
            node = node.setdefault(segment, {})
        node[last] = deepcopy(value)
    return kept


def spelled(value: Any) -> str:
    """A value told apart from every other, in JSON type too; key order ignored."""
    return json.dumps(value, sort_keys=True)
