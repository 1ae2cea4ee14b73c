"""What random histories are made of: hostile values, documents, changes, filters and orders."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

LONG = "w" * 515
NUMBERS: list[int | float] = [
    *(0, 1, 2, 3, -1, 10, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)),
    *(0.0, -0.0, 1.0, 0.5, -1.5, 1e22, 5e-324, 1.7976931348623157e308, float(2**53), float(2**63)),
]
TEXTS: list[str] = [
    *("", "a", "ab", "abc", "b", "A", "é", "e\u0301", "\uffff", "\U00010000", "\U0001f30a", "1"),
    *("'; DROP TABLE x; --", "%", "_", "a%", "*", "[a]", "\\", '"', "{t}", "\x01", "a\x01", " "),
    *("null", "true", "\u2028", LONG, f"{LONG}a", f"{LONG}b", f"{LONG}\U00010000", "w" * 510),
]
STRING_IDS: list[str] = [*"abcdefgh71Aé*'\U0001f30a", "a:b", "a%b", "{x}", "x" * 255]
HOSTILE_KEY = "hostile '\"%"
PATHS = ["n", "t", "tag", "deep.n", "deep.t", "deep", "deep.deeper.n", "list", "id", HOSTILE_KEY]
COMPARISONS = ["$gt", "$gte", "$lt", "$lte"]


class Material:
    """Makes things up, always the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    # -- chance --------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """Whether it happens this time."""
        return self._random.random() < probability

    def one_of(self, choices: Sequence[T]) -> T:
        """Any of them."""
        return self._random.choice(choices)

    def some_of(self, choices: Sequence[T], at_most: int) -> list[T]:
        """Some different ones, perhaps none."""
        return self._random.sample(choices, self._random.randint(0, at_most))

    def between(self, least: int, most: int) -> int:
        """An integer."""
        return self._random.randint(least, most)

    def weighted(self, choices: Sequence[tuple[int, T]], size: int) -> list[T]:
        """So many of them; the first of a pair is how often."""
        weights = [weight for weight, _choice in choices]
        return self._random.choices([choice for _weight, choice in choices], weights, k=size)

    # -- documents and changes -----------------------------------------------------------------

    def scalar(self) -> Any:
        """Any scalar, small integers and ties above all."""
        makers: list[tuple[int, Callable[[], Any]]] = [
            (4, lambda: self.between(0, 6)),
            (3, lambda: self.one_of(NUMBERS)),
            (4, lambda: self.one_of(TEXTS)),
            (1, lambda: self.one_of([None, True, False])),
        ]
        return self.weighted(makers, 1)[0]()

    def value(self, depth: int = 0) -> Any:
        """Any value."""
        if depth > 2 or self.chance(0.75):
            return self.scalar()
        if self.chance(0.5):
            return [self.value(depth + 1) for _ in range(self.between(0, 3))]
        keys = self.some_of(["n", "t", "deeper", "", "a.b"], 2)
        return {key: self.value(depth + 1) for key in keys}

    def document(self) -> dict[str, Any]:
        """A document without an id."""
        document: dict[str, Any] = {"tag": self.between(0, 3)}
        if self.chance(0.8):
            document["n"] = self.scalar()
        if self.chance(0.6):
            document["t"] = self.one_of(TEXTS)
        if self.chance(0.4):
            deep = {"n": self.scalar(), "t": self.value(), "deeper": {"n": self.scalar()}}
            document["deep"] = deep if self.chance(0.8) else self.value()
        if self.chance(0.3):
            document["list"] = [self.value(2) for _ in range(self.between(0, 3))]
        if self.chance(0.1):
            document[HOSTILE_KEY] = self.value()
        return document

    def changes(self) -> dict[str, Any]:
        """A merge patch."""
        keys = self.some_of(["n", "t", "tag", "deep", "list", "x.y"], 3)
        return {key: self.value() for key in keys}

    def increment(self) -> dict[str, int | float]:
        """Amounts by path."""
        paths = self.some_of(["n", "tag", "deep.n", "deep.deeper.n", "t"], 2)
        return {path: 1 if self.chance(0.7) else self.one_of(NUMBERS) for path in paths}

    def append(self) -> dict[str, list[Any]]:
        """Values by path."""
        path = self.one_of(["list", "list", "deep.list", "n"])
        return {path: [self.value(2) for _ in range(self.between(0, 2))]}

    # -- queries -------------------------------------------------------------------------------

    def filters(self, depth: int = 0) -> dict[str, Any]:
        """A lawful filter."""
        if depth < 2 and self.chance(0.25):
            combinator = self.one_of(["$and", "$or", "$not"])
            if combinator == "$not":
                return {"$not": self.filters(depth + 1)}
            return {combinator: [self.filters(depth + 1) for _ in range(self.between(0, 2))]}
        second = self.some_of(PATHS, 1) if self.chance(0.4) else []
        return {path: self.condition() for path in [self.one_of(PATHS), *second]}

    def condition(self) -> Any:
        """What is asked of a path."""
        if self.chance(0.25):
            return self.value()
        return dict(self.operator() for _ in range(self.one_of([1, 1, 2])))

    def operator(self, depth: int = 0) -> tuple[str, Any]:
        """An operator and its operand."""
        makers: list[tuple[int, Callable[[], tuple[str, Any]]]] = [
            (2, lambda: (self.one_of(["$eq", "$ne"]), self.value())),
            (4, lambda: (self.one_of(COMPARISONS), self.one_of([*NUMBERS, *TEXTS]))),
            (4, lambda: (self.one_of(COMPARISONS), self.between(0, 6))),
            (2, lambda: (self.one_of(["$in", "$nin"]), [self.value() for _ in range(3)])),
            (1, lambda: ("$exists", self.chance(0.5))),
            (2, lambda: ("$contains", self.value())),
            (2, lambda: ("$prefix", self.one_of(TEXTS))),
            (0 if depth else 1, lambda: ("$not", dict([self.operator(1)]))),
        ]
        return self.weighted(makers, 1)[0]()

    def sort(self) -> list[tuple[str, bool]]:
        """Paths, and whether they descend."""
        return [(path, self.chance(0.5)) for path in self.some_of(PATHS, self.one_of([0, 1, 3]))]
