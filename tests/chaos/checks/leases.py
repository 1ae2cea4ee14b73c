"""One lease over its life: until when it certainly held, and when it was certainly over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from tests.chaos.history import Exchange

_SLACK: Final = 0.25
"""Seconds by which a right wall clock and CLOCK_MONOTONIC may differ over a lease."""


@dataclass(slots=True)
class Lease:
    """What happened under one token of a lock, in the order of asking.

    What has no answer may have taken effect, and may still.

    Args:
        extended_by: the acquisition, and the renewals that succeeded or have no answer.
        released_by: the releases that succeeded or have no answer.
    """

    extended_by: list[Exchange] = field(default_factory=list)
    released_by: list[Exchange] = field(default_factory=list)

    def may_be_released_by(self, moment: float) -> bool:
        """Whether a release was asked for before."""
        return any(exchange.asked_at <= moment for exchange in self.released_by)

    def held_until(self) -> float:
        """It held until then at least, unless it was released: a lease begins when it is asked for
        at the earliest."""
        return min(exchange.asked_at + _seconds(exchange) for exchange in self._last()) - _SLACK

    def over_at(self) -> float:
        """It had ended by then: a lease begins before the answer."""
        ends = (_answered_at(exchange) + _seconds(exchange) for exchange in self.extended_by)
        return max(ends) + _SLACK

    def _last(self) -> Sequence[Exchange]:
        """Those that can have been the last to set its end."""
        asked = [one.asked_at for one in self.extended_by if one.answered_at is not None]
        return [one for one in self.extended_by if _answered_at(one) >= max(asked)]


def _answered_at(exchange: Exchange) -> float:
    return inf if exchange.answered_at is None else exchange.answered_at


def _seconds(exchange: Exchange) -> float:
    seconds: float = exchange.message["payload"]["lease_seconds"]
    return seconds
