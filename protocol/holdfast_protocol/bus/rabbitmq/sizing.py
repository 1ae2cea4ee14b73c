"""How many deliveries to ask the broker for at once, by the size of the bodies."""

_WEIGHT = 1 / 16  # of the newest body in the average
_GROWTH = 2


class PrefetchSizing:
    """Chooses a prefetch that fills `max_bytes`, from 1 to `most`.

    The broker counts deliveries and sends what it may, however large: what does not fit waits
    in the connection, and a connection that waits for long the broker closes.
    """

    def __init__(self, most: int, max_bytes: int) -> None:
        self._most = most
        self._max_bytes = max_bytes
        self._average = 0.0
        self._noted = 0
        self._chosen = most

    def note(self, size: int) -> None:
        """A body of so many bytes came."""
        self._noted += 1
        # The first few count more, or the average would begin far too low.
        self._average += (size - self._average) * max(_WEIGHT, 1 / self._noted)

    def choose(self) -> int:
        """The prefetch for a consumer that begins now."""
        self._chosen = self._fitting()
        return self._chosen

    @property
    def is_too_small(self) -> bool:
        """Whether the one chosen last is far below what would fit now."""
        fitting = self._fitting()
        return self._chosen < fitting and fitting >= min(self._most, self._chosen * _GROWTH)

    def _fitting(self) -> int:
        if self._average * self._most <= self._max_bytes:
            return self._most
        return max(1, int(self._max_bytes / self._average))
