"""Locks as the wire contract puts them: at most one lease of each, tokens that only rise."""

from dataclasses import dataclass, replace

from tests.conformance.differential.words import Answer, FailureError

Fence = tuple[str, int]
_MICROS = 1_000_000


@dataclass(frozen=True)
class Lease:
    """The last lease of a lock; released ones end at once."""

    name: str
    owner: str
    token: int
    acquired_at: int
    expires_at: int


class Locks:
    """All locks. Instants are microseconds since 1970."""

    def __init__(self) -> None:
        self._last: dict[str, Lease] = {}
        self._released: set[str] = set()

    def token(self, name: str) -> int:
        """The token of a lock's last lease, 0 before the first."""
        last = self._last.get(name)
        return last.token if last else 0

    def held(self, name: str, now: int) -> Lease | None:
        """The lease that holds."""
        last = self._last.get(name)
        if last is None or name in self._released or last.expires_at <= now:
            return None
        return last

    def acquire(self, name: str, owner: str, seconds: float, now: int) -> Answer:
        """Take it."""
        held = self.held(name, now)
        if held is not None:
            left = round((held.expires_at - now) / _MICROS, 3)
            raise FailureError("conflict", owner=held.owner, retry_after_seconds=left)
        self._released.discard(name)
        end = now + round(seconds * _MICROS)
        self._last[name] = Lease(name, owner, self.token(name) + 1, now, end)
        return "leased", self._last[name]

    def renew(self, name: str, token: int, seconds: float, now: int) -> Answer:
        """Keep it."""
        held = self._mine(name, token, now)
        self._last[name] = replace(held, expires_at=now + round(seconds * _MICROS))
        return "leased", self._last[name]

    def release(self, name: str, token: int, now: int) -> Answer:
        """Give it back."""
        held = self._mine(name, token, now)
        self._released.add(name)
        return "leased", held

    def inspect(self, name: str, now: int) -> Answer:
        """Ask for it."""
        return "leased", self._any(name, now)

    def check(self, fence: Fence | None, now: int) -> None:
        """Refuse a write whose lease does not hold."""
        if fence is None:
            return
        held = self.held(fence[0], now)
        current = held.token if held else None
        if current != fence[1]:
            raise FailureError("conflict", lock=fence[0], current_token=current)

    def _any(self, name: str, now: int) -> Lease:
        held = self.held(name, now)
        if held is None:
            raise FailureError("not_found")
        return held

    def _mine(self, name: str, token: int, now: int) -> Lease:
        held = self._any(name, now)
        if held.token != token:
            raise FailureError("conflict", current_token=held.token)
        return held
