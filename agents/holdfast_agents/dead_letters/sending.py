"""Sending dead letters again: many at a time, and what cannot be sent stops no other."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.errors import (
    BusClosedError,
    HoldfastError,
    OverloadedError,
    UnavailableError,
)

_AT_ONCE: Final = 64


class Resender:
    """Sends letters in their order; one that the broker takes only at the second try may come
    after its successors.

    An agent whose queue took no more, in all the patience of the bus, is sent nothing more:
    each of its letters would wait as long.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._full: set[str] = set()
        self.failures: Counter[str] = Counter()
        """How many could not be sent, by error type."""

    async def send(
        self, letters: Sequence[DeadLetter]
    ) -> tuple[list[DeadLetter], HoldfastError | None]:
        """Those that were sent, and what made it stop before the end, if anything did."""
        sent: list[DeadLetter] = []
        for group in _groups(letters):
            errors = await asyncio.gather(*(self._send_one(letter) for letter in group))
            fatal: HoldfastError | None = None
            for letter, error in zip(group, errors, strict=True):
                if error is None:
                    sent.append(letter)
                elif isinstance(error, UnavailableError | BusClosedError):
                    fatal = error
                else:
                    self.failures[error.error_type] += 1
            if fatal is not None:
                return sent, fatal
        return sent, None

    async def _send_one(self, letter: DeadLetter) -> HoldfastError | None:
        agent = letter.routing_key.partition(".")[0]
        if agent in self._full:
            return OverloadedError("The agent's queue takes no more now")
        try:
            await self._bus.resend(letter)
        except OverloadedError as error:
            self._full.add(agent)
            return error
        except HoldfastError as error:
            return error
        return None


def _groups(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Letters that are sent together: no two of the same message, which while they are under
    way together could not both keep its id, the one thing that makes the second harmless."""
    group: dict[str, DeadLetter] = {}
    for letter in letters:
        if len(group) == _AT_ONCE or letter.id in group:
            yield [*group.values()]
            group = {}
        group[letter.id] = letter
    if group:
        yield [*group.values()]
