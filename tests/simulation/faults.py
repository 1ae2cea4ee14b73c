"""Which fault happens where: drawn from a seed, or given.

A fault point is a place in the simulated network, broker or database that the code of a process
has reached; it is named by what is done there and by whom, and counted. In a first run the faults
are drawn, and those that happened are written down; a run that is given this list (or a part of
it) draws none, and injects exactly these.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any, Final, NamedTuple


class Injected(NamedTuple):
    """One fault: at the `number`-th time that `process` was at `point`.

    `amount` is a number from 0 to 1, of which each kind makes what it needs: seconds, mostly.
    """

    point: str
    process: str
    number: int
    kind: str
    amount: float


KINDS: Final[Mapping[str, Sequence[str]]] = {
    point: tuple(kinds.split())
    for point, kinds in {
        "publish": "lost unconfirmed twice twice twice slow slow slow refused cut killed",
        "reply": "lost unconfirmed unconfirmed twice twice twice slow slow slow dropped cut killed",
        "announce": "lost unconfirmed partly slow slow cut killed",
        "receive": "reordered reordered slow slow cut killed-before",
        "ack": "lost cut killed",
        "dead-letter": "lost unconfirmed slow killed-after",
        "open": "lost slow",
        "begin": "lost slow killed-before",
        "read": "lost slow conflict",
        "commit": "lost unconfirmed late conflict refused slow killed killed-after",
        "mark": "lost unconfirmed slow killed",
        "step": "killed killed stopped",
        "clock": "off",
        "weather": "broker-restart store-away cut-all clocks-jump",
    }.items()
}
"""What may happen at which point; a kind that stands there twice is twice as likely. `killed`
is before or after the effect, by chance."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How likely a fault is at a point, by point, and otherwise."""

    at: Mapping[str, float]
    other: float

    def of(self, point: str) -> float:
        """From 0 to 1."""
        return self.at.get(point, self.other)


class Faults:
    """The faults of one episode.

    Args:
        source: draws; None when `given` says all.
        given: what is to be injected.
    """

    def __init__(self, source: Random | None, rates: Rates, given: Iterable[Injected] = ()) -> None:
        self._source = source
        self._rates = rates
        self._given = {fault[:3]: fault for fault in given}
        self._numbers: Counter[tuple[str, str]] = Counter()
        self.is_calm = False
        self.injected: list[Injected] = []
        self.kinds: Counter[str] = Counter()

    def at(self, point: str, process: str) -> Injected | None:
        """What happens there and now, if anything."""
        if self.is_calm:
            return None
        key = (point, process)
        number = self._numbers[key] = self._numbers[key] + 1
        if self._source is None:
            fault = self._given.get((point, process, number))
        else:
            fault = self._draw(point, process, number)
        if fault is not None:
            self._note(fault)
        return fault

    def next_strike(self, process: str, steps: int) -> float:
        """Before which step something happens to a process that has made so many."""
        if self.is_calm:
            return inf
        if self._source is not None:
            rate = self._rates.of("step")
            return steps + 1 + int(self._source.expovariate(rate)) if rate else inf
        ahead = (
            number
            for point, name, number in self._given
            if point == "step" and name == process and number > steps
        )
        return min(ahead, default=inf)

    def strike(self, process: str, steps: int) -> Injected | None:
        """What happens to it now."""
        if self._source is None:
            fault = self._given.get(("step", process, steps))
        else:
            kinds = KINDS["step"]
            kind = kinds[int(self._source.random() * len(kinds))]
            fault = Injected("step", process, steps, kind, round(self._source.random(), 6))
        if fault is not None:
            self._note(fault)
        return fault

    def _note(self, fault: Injected) -> None:
        self.injected.append(fault)
        self.kinds[f"{fault.point} {fault.kind}"] += 1

    def _draw(self, point: str, process: str, number: int) -> Injected | None:
        source = self._source
        assert source is not None
        if source.random() >= self._rates.of(point):
            return None
        kinds = KINDS[point]
        kind = kinds[int(source.random() * len(kinds))]
        if kind == "killed":
            kind = "killed-after" if source.random() < 0.5 else "killed-before"
        return Injected(point, process, number, kind, round(source.random(), 6))


def fault_from(value: Sequence[Any]) -> Injected:
    """From its JSON form."""
    point, process, number, kind, amount = value
    return Injected(str(point), str(process), int(number), str(kind), float(amount))
