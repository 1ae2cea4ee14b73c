"""Sending dead letters again: many at a time, and what cannot be sent stops no other."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.errors import (
    BusClosedError,
    HoldfastError,
    InternalError,
    OverloadedError,
    UnavailableError,
)

from .walking import MatchingWalk

_log = logging.getLogger("holdfast.dead_letters")

_AT_ONCE: Final = 64


class Resender:
    """Sends letters in their order, and removes those that were sent; one that the broker takes
    only at the second try may come after its successors.

    An agent whose queue took no more, in all the patience of the bus, is sent nothing more:
    each of its letters would wait as long.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._full: set[str] = set()
        self._has_met_defect = False
        self.done = 0
        """How many were sent and removed."""
        self.failures: Counter[str] = Counter()
        """How many could not be sent, by error type."""

    async def pass_on(self, letters: Sequence[DeadLetter], walk: MatchingWalk) -> None:
        """Send them, and remove those that were sent, also where the sending ends early.

        Raises UnavailableError or BusClosedError: it makes no sense to go on.
        """
        sent: list[DeadLetter] = []
        try:
            await self._send(letters, sent)
        except BaseException:
            # What left the process is not to leave it again, whatever ends this.
            with suppress(HoldfastError):
                await self._remove(sent, walk)
            raise
        await self._remove(sent, walk)

    async def _remove(self, sent: Sequence[DeadLetter], walk: MatchingWalk) -> None:
        await walk.remove(sent)
        self.done += len(sent)

    async def _send(self, letters: Sequence[DeadLetter], sent: list[DeadLetter]) -> None:
        """Each letter is in `sent` as soon as it was."""
        for group in _groups(letters):
            errors = await asyncio.gather(*(self._send_one(letter, sent) for letter in group))
            failed = [error for error in errors if error is not None]
            fatal = [error for error in failed if _is_fatal(error)]
            self.failures.update(error.error_type for error in failed if not _is_fatal(error))
            if fatal:
                raise fatal[0]

    async def _send_one(self, letter: DeadLetter, sent: list[DeadLetter]) -> HoldfastError | None:
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
        except Exception as error:  # noqa: BLE001 - anybody may write letters: none stops others
            return self._defect(letter, error)
        sent.append(letter)
        return None

    def _defect(self, letter: DeadLetter, error: Exception) -> HoldfastError:
        """The first is logged whole: there may be as many as letters."""
        traced = None if self._has_met_defect else error
        self._has_met_defect = True
        _log.error(
            "The dead letter %r cannot be sent again: %s",
            letter.id,
            type(error).__name__,
            exc_info=traced,
        )
        return InternalError("The dead letter cannot be sent again")


def _is_fatal(error: HoldfastError) -> bool:
    """Whether the next letter would meet the same."""
    return isinstance(error, UnavailableError | BusClosedError)


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
