"""How many answers came when: for the time that a recovery takes."""

from collections import deque
from dataclasses import dataclass
from typing import Final

BUCKET: Final = 0.1
"""Seconds that are counted together."""
_KEPT: Final = 36_000  # buckets that anything was counted in: an hour at least


@dataclass(slots=True)
class Bucket:
    """The answers of one tenth of a second.

    Args:
        number: when it began, in tenths of seconds of CLOCK_MONOTONIC.
        answers: how many.
        first_success: when the first success among them came, and `last_success` the last.
    """

    number: int
    answers: int = 0
    first_success: float | None = None
    last_success: float | None = None


class Rates:
    """Counts answers by the moment they came; remembers an hour."""

    def __init__(self) -> None:
        self._buckets: deque[Bucket] = deque(maxlen=_KEPT)

    def count(self, moment: float, *, success: bool) -> None:
        """An answer came now. Moments never go back."""
        number = int(moment / BUCKET)
        if not self._buckets or self._buckets[-1].number < number:
            self._buckets.append(Bucket(number))
        bucket = self._buckets[-1]
        bucket.answers += 1
        if success:
            bucket.last_success = moment
            if bucket.first_success is None:
                bucket.first_success = moment

    def first_success_after(self, moment: float) -> float | None:
        """When the first success after a moment came, as exactly as a bucket tells it."""
        for bucket in self._since(moment):
            if bucket.last_success is not None and bucket.last_success >= moment:
                assert bucket.first_success is not None
                return max(bucket.first_success, moment)
        return None

    def between(self, begin: float, end: float) -> float:
        """Answers a second from one moment to a later one."""
        first, last = int(begin / BUCKET), int(end / BUCKET)
        counted = sum(b.answers for b in self._since(begin) if first <= b.number < last)
        return counted / max((last - first) * BUCKET, BUCKET)

    def _since(self, moment: float) -> list[Bucket]:
        """Those from the moment's own on, walked from the newest: what is asked is recent."""
        number = int(moment / BUCKET)
        found: list[Bucket] = []
        for bucket in reversed(self._buckets):
            if bucket.number < number:
                break
            found.append(bucket)
        return found[::-1]
