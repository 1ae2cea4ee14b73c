"""Filters: the executable specification of which documents match.

`parse_filter` refuses whatever the wire contract (sections 7 and 10) does not allow and builds
a tree; `Filter.matches` interprets it. Indexes may narrow down which documents are looked at,
but this module alone decides.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import orjson

from .checks import check_value
from .errors import InvalidValueError, Loc
from .paths import Missing, Path, lookup, parse_path
from .values import JsonObject, JsonValue, is_number

MAX_NODES = 200
MAX_LEVELS = 8
MAX_CHOICES = 1_000


def json_equal(left: JsonValue, right: JsonValue) -> bool:
    """Deep JSON equality: numbers by value, booleans are no numbers, key order ignored."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(json_equal(value, right[key]) for key, value in left.items())
        )
    if isinstance(left, list):
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(map(json_equal, left, right))
        )
    return left == right


@dataclass(frozen=True, slots=True)
class Equal:
    """Equality; with null it also holds for what is missing."""

    operand: JsonValue

    def holds(self, value: JsonValue | Missing) -> bool:
        if isinstance(value, Missing):
            return self.operand is None
        return json_equal(value, self.operand)


@dataclass(frozen=True, slots=True)
class Compare:
    """`$gt`, `$gte`, `$lt`, `$lte`: both numbers or both strings, never across."""

    operator: str
    operand: int | float | str

    def holds(self, value: JsonValue | Missing) -> bool:
        if isinstance(value, str) and isinstance(self.operand, str):
            return _ordered(self.operator, value, self.operand)
        if is_number(value) and not isinstance(self.operand, str):
            return _ordered(self.operator, value, self.operand)
        return False


def _ordered(operator: str, left: int | float | str, right: int | float | str) -> bool:
    # The caller has made sure that both sides are of one kind.
    match operator:
        case "$gt":
            return left > right  # type: ignore[operator]
        case "$gte":
            return left >= right  # type: ignore[operator]
        case "$lt":
            return left < right  # type: ignore[operator]
        case _:
            return left <= right  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Among:
    """`$in`: equal to one of them."""

    operands: tuple[JsonValue, ...]

    def holds(self, value: JsonValue | Missing) -> bool:
        if isinstance(value, Missing):
            return any(operand is None for operand in self.operands)
        # Python's own equality finds all that are equal, and `True == 1` beside them.
        return value in self.operands and any(
            json_equal(value, operand) for operand in self.operands
        )


@dataclass(frozen=True, slots=True)
class Exists:
    """The path is present; a null counts as present."""

    expected: bool

    def holds(self, value: JsonValue | Missing) -> bool:
        return (not isinstance(value, Missing)) is self.expected


@dataclass(frozen=True, slots=True)
class Contains:
    """An array with an equal element, or a string with that substring."""

    operand: JsonValue

    def holds(self, value: JsonValue | Missing) -> bool:
        if isinstance(value, list):
            return self.operand in value and any(
                json_equal(element, self.operand) for element in value
            )
        return isinstance(value, str) and isinstance(self.operand, str) and self.operand in value


@dataclass(frozen=True, slots=True)
class Prefix:
    """A string that starts so."""

    operand: str

    def holds(self, value: JsonValue | Missing) -> bool:
        return isinstance(value, str) and value.startswith(self.operand)


@dataclass(frozen=True, slots=True)
class Every:
    """All tests hold of one value."""

    tests: tuple["Test", ...]

    def holds(self, value: JsonValue | Missing) -> bool:
        return all(test.holds(value) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Unless:
    """The exact complement of a test of one value."""

    test: "Test"

    def holds(self, value: JsonValue | Missing) -> bool:
        return not self.test.holds(value)


Test: TypeAlias = Equal | Compare | Among | Exists | Contains | Prefix | Every | Unless


@dataclass(frozen=True, slots=True)
class At:
    """A test of the value at a path."""

    path: Path
    test: Test

    def matches(self, document: JsonObject) -> bool:
        return self.test.holds(lookup(document, self.path))


@dataclass(frozen=True, slots=True)
class And:
    """All parts match; without parts, everything does."""

    parts: tuple["Node", ...]

    def matches(self, document: JsonObject) -> bool:
        return all(part.matches(document) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """Some part matches; without parts, nothing does."""

    parts: tuple["Node", ...]

    def matches(self, document: JsonObject) -> bool:
        return any(part.matches(document) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """The exact complement."""

    part: "Node"

    def matches(self, document: JsonObject) -> bool:
        return not self.part.matches(document)


Node: TypeAlias = At | And | Or | Not


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter. `canonical` is its JSON with sorted keys, which cursors are tied to."""

    root: Node
    canonical: bytes

    def matches(self, document: JsonObject) -> bool:
        """Whether a document matches."""
        return self.root.matches(document)

    @property
    def is_empty(self) -> bool:
        """Whether it matches everything because it asks for nothing."""
        return isinstance(self.root, And) and not self.root.parts


EVERYTHING: Final = Filter(And(()), b"{}")


def parse_filter(source: object, loc: Loc = ("filters",)) -> Filter:
    """The filter of a JSON object.

    Raises:
        InvalidValueError: naming the bad place.
    """
    parser = _Parser()
    root = parser.conjunction(source, loc, level=0)
    canonical = orjson.dumps(source, option=orjson.OPT_SORT_KEYS)
    return Filter(root, canonical)


@dataclass(slots=True)
class _Parser:
    """Parses one filter, counting its nodes."""

    nodes: int = field(default=0)

    def _node(self, loc: Loc, level: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise InvalidValueError(f"a filter has at most {MAX_NODES} nodes", loc)
        if level > MAX_LEVELS:
            raise InvalidValueError(f"a filter has at most {MAX_LEVELS} levels", loc)

    def conjunction(self, source: object, loc: Loc, level: int) -> Node:
        if not isinstance(source, dict):
            raise InvalidValueError("a filter is an object", loc)
        parts = tuple(self._entry(key, value, loc, level) for key, value in source.items())
        return parts[0] if len(parts) == 1 else And(parts)

    def _entry(self, key: object, value: object, loc: Loc, level: int) -> Node:
        if not isinstance(key, str):
            raise InvalidValueError("a key must be a string", loc)
        place = (*loc, key)
        if key[:1] == "$":
            return self._combinator(key, value, place, level)
        path = parse_path(key, place)
        self._node(place, level)
        return At(path, self._condition(value, place, level))

    def _combinator(self, key: str, value: object, loc: Loc, level: int) -> Node:
        if key not in ("$and", "$or", "$not"):
            raise InvalidValueError(f"unknown operator {key[:64]}", loc)
        self._node(loc, level)
        if key == "$not":
            self._check_level(loc, level + 1)
            return Not(self.conjunction(value, loc, level + 1))
        if not isinstance(value, list):
            raise InvalidValueError(f"{key} takes an array of filters", loc)
        if value:
            self._check_level(loc, level + 1)
        parts = tuple(
            self.conjunction(part, (*loc, position), level + 1)
            for position, part in enumerate(value)
        )
        return And(parts) if key == "$and" else Or(parts)

    def _check_level(self, loc: Loc, level: int) -> None:
        if level > MAX_LEVELS:
            raise InvalidValueError(f"a filter has at most {MAX_LEVELS} levels", loc)

    def _condition(self, value: object, loc: Loc, level: int) -> Test:
        if not isinstance(value, dict) or not value:
            return Equal(_operand(value, loc))
        marked = [isinstance(key, str) and key[:1] == "$" for key in value]
        if not any(marked):
            return Equal(_operand(value, loc))
        if not all(marked):
            raise InvalidValueError("operators and plain keys cannot be mixed", loc)
        return self._operators(value, loc, level)

    def _operators(self, source: dict[str, object], loc: Loc, level: int) -> Test:
        tests = tuple(
            self._operator(name, operand, (*loc, name), level) for name, operand in source.items()
        )
        return tests[0] if len(tests) == 1 else Every(tests)

    def _operator(self, name: str, operand: object, loc: Loc, level: int) -> Test:
        self._node(loc, level)
        if name == "$not":
            self._check_level(loc, level + 1)
            return Unless(self._negated(operand, loc, level + 1))
        build = _OPERATORS.get(name)
        if build is None:
            raise InvalidValueError(f"unknown operator {name[:64]}", loc)
        return build(operand, loc)

    def _negated(self, operand: object, loc: Loc, level: int) -> Test:
        if (
            not isinstance(operand, dict)
            or not operand
            or not all(isinstance(key, str) and key[:1] == "$" for key in operand)
        ):
            raise InvalidValueError("$not of a path takes an object of operators", loc)
        return self._operators(operand, loc, level)


def _operand(value: object, loc: Loc) -> JsonValue:
    check_value(value, loc)
    return value  # type: ignore[return-value]  # check_value has made sure


def _operands(value: object, loc: Loc) -> tuple[JsonValue, ...]:
    if not isinstance(value, list):
        raise InvalidValueError(f"{loc[-1]} takes an array", loc)
    if len(value) > MAX_CHOICES:
        raise InvalidValueError(f"{loc[-1]} takes at most {MAX_CHOICES} values", loc)
    return tuple(_operand(item, (*loc, position)) for position, item in enumerate(value))


def _compare(operator: str) -> Callable[[object, Loc], Test]:
    def build(value: object, loc: Loc) -> Test:
        if not isinstance(value, str) and not is_number(value):
            raise InvalidValueError(f"{operator} takes a number or a string", loc)
        check_value(value, loc)
        return Compare(operator, value)

    return build


def _exists(value: object, loc: Loc) -> Test:
    if not isinstance(value, bool):
        raise InvalidValueError("$exists takes true or false", loc)
    return Exists(value)


def _prefix(value: object, loc: Loc) -> Test:
    if not isinstance(value, str):
        raise InvalidValueError("$prefix takes a string", loc)
    check_value(value, loc)
    return Prefix(value)


_OPERATORS: Final[dict[str, Callable[[object, Loc], Test]]] = {
    "$eq": lambda value, loc: Equal(_operand(value, loc)),
    "$ne": lambda value, loc: Unless(Equal(_operand(value, loc))),
    "$gt": _compare("$gt"),
    "$gte": _compare("$gte"),
    "$lt": _compare("$lt"),
    "$lte": _compare("$lte"),
    "$in": lambda value, loc: Among(_operands(value, loc)),
    "$nin": lambda value, loc: Unless(Among(_operands(value, loc))),
    "$exists": _exists,
    "$contains": lambda value, loc: Contains(_operand(value, loc)),
    "$prefix": _prefix,
}
