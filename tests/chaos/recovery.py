"""How long it took until things were as before: measured on the answers of a load."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from tests.chaos.faults.contract import Strike
from tests.chaos.faults.kills import KillAgent
from tests.chaos.load.rates import Rates

_WINDOW: Final = 3.0  # seconds over which a throughput is taken
_STEP: Final = 0.25
STALL: Final = "stall"
"""What it is called when this process did not run for a while, perhaps nobody on this machine:
whoever answered meanwhile was not heard."""
FULL: Final = 0.9
"""The part of the throughput of before that counts as all of it."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """From the moment that everything which a backend needs was back to its first success.

    Where the next fault came before that, the longest wait for a success counts.

    Args:
        kind: the fault that was over last.
        free: seconds from that moment to the next fault: the longest wait that could be seen.
    """

    kind: str
    backend: str
    seconds: float
    free: float


def concerns(strike: Strike, backend: str) -> bool:
    """Whether a strike is on the way of a backend's messages."""
    return strike.at in ("", "rabbitmq", backend)


def first_successes(
    strikes: Sequence[Strike], backend: str, rates: Rates, *, agents: int = 2
) -> tuple[list[Recovery], list[Strike]]:
    """Of the strikes on servers: the recoveries of a backend; and those without a success.

    Strikes that overlap, or that came before the first success, are one. A stall is a strike, too.
    That an agent was killed explains nothing where there are several of them: another one lives.
    One that stands still explains it, as it may hold a lock of the store.

    Args:
        agents: processes of each backend.
    """
    away = [
        strike
        for strike in sorted(strikes, key=lambda strike: strike.struck_at)
        if concerns(strike, backend) and (strike.kind != KillAgent.kind or agents == 1)
    ]
    found: list[Recovery] = []
    open_ones: list[Strike] = []
    place = 0
    while place < len(away):
        begin, last, waited = place, away[place], 0.0
        while True:
            place += 1
            first = rates.first_success_after(last.healed_at)
            if place == len(away):
                free = inf
                break
            free = away[place].struck_at - last.healed_at
            if first is not None and first < away[place].struck_at:
                break
            waited = max(waited, free)
            last = max(last, away[place], key=lambda strike: strike.healed_at)
        if not any(map(_is_on_a_server, away[begin:place])):
            continue
        if first is None:
            open_ones.append(last)
        else:
            seconds = max(waited, first - last.healed_at)
            found.append(Recovery(last.kind, backend, seconds, free))
    return found, open_ones


def _is_on_a_server(strike: Strike) -> bool:
    return strike.kind != STALL and not strike.kind.endswith(" agent")


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
