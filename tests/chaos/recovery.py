"""How long it took until things were as before: measured on the answers of a load."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.faults.contract import Strike
from tests.chaos.load.rates import Rates

_WINDOW: Final = 3.0  # seconds over which a throughput is taken
_STEP: Final = 0.25
FULL: Final = 0.9
"""The part of the throughput of before that counts as all of it."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """From the moment that everything which a backend needs was back to its first success."""

    kind: str
    backend: str
    seconds: float


def concerns(strike: Strike, backend: str) -> bool:
    """Whether a strike is on the way of a backend's messages."""
    return strike.at in ("", "rabbitmq", backend)


def first_successes(
    strikes: Sequence[Strike], backend: str, rates: Rates
) -> tuple[list[Recovery], list[Strike]]:
    """Of every strike on a server: the recovery of a backend; and those without a success."""
    mine = [strike for strike in strikes if concerns(strike, backend)]
    found: list[Recovery] = []
    open_ones: list[Strike] = []
    for strike in mine:
        if strike.kind.endswith(" agent"):
            continue
        seen = _first_success(strike, mine, rates)
        if seen is None:
            open_ones.append(strike)
            continue
        back_at, first = seen
        found.append(Recovery(strike.kind, backend, first - back_at))
    return found, open_ones


def _first_success(
    strike: Strike, others: Iterable[Strike], rates: Rates
) -> tuple[float, float] | None:
    """When everything was back, and when the first success came after that."""
    several = sorted(others, key=lambda other: other.struck_at)
    back_at = strike.healed_at
    while (first := rates.first_success_after(back_at)) is not None:
        later = [s.healed_at for s in several if s.struck_at <= first and s.healed_at > back_at]
        if not later:
            return back_at, first
        back_at = max(later)
    return None


def full_again(rates: Rates, usual: float, healed_at: float, until: float) -> float | None:
    """Seconds after which the throughput was as before, for a while; None when it never was.

    Where there was none before, nothing can be as it was: None, too.
    """
    moment = healed_at
    if usual <= 0:
        return None
    while moment + _WINDOW <= until:
        if rates.between(moment, moment + _WINDOW) >= FULL * usual:
            return moment - healed_at
        moment += _STEP
    return None
