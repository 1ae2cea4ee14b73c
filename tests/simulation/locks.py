"""The locks of the simulated database: on collections, or on everything; granted in turn."""

import asyncio
from collections.abc import Sequence


class Ticket:
    """Somebody's turn. `names` None is everything."""

    __slots__ = ("granted", "is_given_up", "is_held", "names")

    def __init__(self, names: Sequence[str] | None, granted: "asyncio.Future[None]") -> None:
        self.names = None if names is None else frozenset(names)
        self.granted = granted
        self.is_held = False
        self.is_given_up = False

    def excludes(self, other: "Ticket") -> bool:
        """Whether both cannot be held at once."""
        if self.names is None or other.names is None:
            return True
        return not self.names.isdisjoint(other.names)


class LockTable:
    """Who holds what, and who waits."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []

    def ask(self, ticket: Ticket) -> None:
        """Take a turn; `granted` is done when it has come."""
        if not ticket.is_given_up:
            self._tickets.append(ticket)
            self._grant()

    def release(self, ticket: Ticket) -> None:
        """Give it back, or give up waiting, or asking. Twice is harmless."""
        ticket.is_given_up = True
        ticket.is_held = False
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            self._grant()

    def is_taken(self, name: str) -> bool:
        """Whether anybody holds a lock on this collection."""
        return any(
            one.is_held and (one.names is None or name in one.names) for one in self._tickets
        )

    @property
    def is_free(self) -> bool:
        """Whether nobody holds or waits for anything."""
        return not self._tickets

    def _grant(self) -> None:
        for place, ticket in enumerate(self._tickets):
            if ticket.is_held:
                continue
            if not any(ticket.excludes(other) for other in self._tickets[:place]):
                ticket.is_held = True
                if not ticket.granted.done():
                    ticket.granted.set_result(None)
