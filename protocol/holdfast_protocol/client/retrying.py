"""When a message is sent again. Always under the same id, so that a repetition is harmless."""

import random
from collections.abc import Mapping
from math import isfinite
from typing import Final

from pydantic import JsonValue

RETRYABLE: Final = frozenset({"unavailable", "overloaded", "rate_limited"})
"""Answers after which a retry may help (wire contract, section 4)."""

INTERVAL_GROWTH: Final = 2.0
_LONGEST_FIRST_INTERVAL: Final = 15.0
_FIRST_BACKOFF: Final = 0.1
_LONGEST_BACKOFF: Final = 5.0


def first_interval(timeout: float) -> float:
    """Seconds without an answer after which a message is sent again, the first time.

    A quarter of the timeout: with the growth that makes three attempts at most, so that a
    slow agent is not buried; after long timeouts 15 seconds.
    """
    return min(timeout / 4, _LONGEST_FIRST_INTERVAL)


def spread() -> float:
    """A number from 0 to 1, by which clients do not come back all in the same moment.

    What travelled together shares one, so that it travels together again.
    """
    return random.random()  # noqa: S311 - spreads load


def backoff(attempts: int, spread: float, retry_after: float = 0.0) -> float:
    """Seconds to wait after an attempt that failed; `attempts` counts those made.

    Exponential with jitter, and never less than the `retry_after` the agent asked for.
    """
    doublings = min(max(attempts, 1) - 1, 16)
    ceiling = min(_FIRST_BACKOFF * float(1 << doublings), _LONGEST_BACKOFF)
    return max(retry_after, ceiling / 2) + spread * ceiling / 2


def retry_after_of(details: Mapping[str, JsonValue]) -> float:
    """What an error asked for in `details.retry_after_seconds`; 0 without."""
    asked = details.get("retry_after_seconds")
    if isinstance(asked, bool) or not isinstance(asked, int | float):
        return 0.0
    return max(0.0, float(asked)) if isfinite(asked) else 0.0
