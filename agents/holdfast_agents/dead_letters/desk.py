"""The desk of the dead letters: here they are listed, shown, sent again and removed.

Everything is a walk through the dead letters of a bus, taken in parts: whatever their number,
the bodies of one part only are in memory. What a walk has met is held by it, unseen by others,
and is back when the walk ends, also with the process.

A walk meets the oldest letters first, about: RabbitMQ puts what a walk gives back behind what
earlier walks gave back, so after one that ended at its limit the order is another.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from holdfast_protocol.actions import DeadLetter as Summary
from holdfast_protocol.actions import (
    DeadLetterFilter,
    DeadLettersPurged,
    DeadLettersReplayed,
)
from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.errors import NotFoundError, OverloadedError, UnavailableError

from .choosing import Choice, Picker
from .sending import Resender
from .telling import summary_of
from .walking import MatchingWalk, Progress

_PATIENCE: Final = 2.0  # seconds
_RETRY_AFTER: Final = 1.0  # seconds
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_EVERYTHING: Final = DeadLetterFilter()


@dataclass(frozen=True, slots=True)
class Listing:
    """The letters that were asked for. `total` is how many of any kind there were, `complete`
    whether the walk met all of those: otherwise more may match."""

    letters: list[Summary]
    total: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a replay; `failures` says by error type why some could not be sent."""

    result: DeadLettersReplayed
    failures: Mapping[str, int]


class DeadLetterDesk:
    """Works on the dead letters of a bus, which the caller opens and closes.

    There is one walk at a time: two at once would each meet only a part of the letters.
    `patience` is how long, in seconds, another waits for its turn; then OverloadedError is
    raised.

    All methods raise UnavailableError when the broker does not answer or the walk was lost.
    What was not removed is back then, and the same may be asked for again; the details tell
    what a replay or a purge had done before.
    """

    def __init__(self, bus: Bus, *, patience: float = _PATIENCE) -> None:
        self._bus = bus
        self._patience = patience
        self._turn = asyncio.Lock()

    async def list(
        self,
        chosen: DeadLetterFilter = _EVERYTHING,
        limit: int = 100,
        *,
        max_bytes: int | None = None,
        on_progress: Progress | None = None,
    ) -> Listing:
        """Letters that match, about the oldest: at most `limit`, and at most `max_bytes` as JSON.
        They are in the order of their time."""
        choice = Choice(chosen, limit=limit)
        async with self._walk(choice, on_progress) as walk:
            found: list[Summary] = []
            room = max_bytes
            async for letters in walk.parts():
                for letter in letters:
                    summary = await summary_of(letter)
                    if room is not None:
                        room -= len(summary.model_dump_json().encode()) + 1
                        if room < 0:
                            return Listing(_by_time(found), walk.total, complete=False)
                    found.append(summary)
            return Listing(_by_time(found), walk.total, walk.is_complete)

    async def show(self, *letter_ids: str, on_progress: Progress | None = None) -> DeadLetter:
        """The first letter of such an id; several may have it. Raises NotFoundError."""
        choice = Choice(ids=letter_ids, limit=1)
        async with self._walk(choice, on_progress) as walk:
            async for letters in walk.parts():
                return letters[0]
        raise NotFoundError(f"Dead letter {letter_ids[0]} not found")

    async def replay(self, choice: Choice, on_progress: Progress | None = None) -> Replayed:
        """Send letters again by their original route, and remove those that were sent.

        They are removed after they were sent: a death in between has some of them sent twice.
        That is harmless for what has an id, in the message or as the AMQP message id (which
        stays the same): it takes effect once. Messages of an array without ids of their own
        have none, as always when such an array is delivered twice.

        What cannot be sent (nobody is bound, the queue takes no more, no message could be made
        of it) stays and counts as failed. No letter is sent twice in a walk: one that comes
        back is behind its end.
        """
        resender = Resender(self._bus)
        matched = 0
        try:
            async with self._walk(choice, on_progress) as walk:
                async for letters in walk.parts():
                    matched = walk.matched
                    if not choice.dry_run:
                        await resender.pass_on(letters, walk)
        except UnavailableError as error:
            raise _interrupted(error, {"replayed": resender.done}) from error
        failed = resender.failures.total()
        result = DeadLettersReplayed(
            matched=matched, replayed=resender.done, failed=failed, dry_run=choice.dry_run
        )
        return Replayed(result, dict(resender.failures))

    async def purge(self, choice: Choice, on_progress: Progress | None = None) -> DeadLettersPurged:
        """Remove letters for good."""
        matched = done = 0
        try:
            async with self._walk(choice, on_progress) as walk:
                async for letters in walk.parts():
                    matched = walk.matched
                    if choice.dry_run:
                        continue
                    await walk.remove(letters)
                    done += len(letters)
        except UnavailableError as error:
            raise _interrupted(error, {"purged": done}) from error
        return DeadLettersPurged(matched=matched, purged=done, dry_run=choice.dry_run)

    @asynccontextmanager
    async def _walk(
        self, choice: Choice, on_progress: Progress | None
    ) -> AsyncIterator[MatchingWalk]:
        try:
            async with asyncio.timeout(self._patience):
                await self._turn.acquire()
        except TimeoutError:
            text = "Somebody walks through the dead letters already; ask again later"
            raise OverloadedError(text, {"retry_after_seconds": _RETRY_AFTER}) from None
        try:
            async with self._bus.dead_letters() as letters:
                picker = Picker(choice, datetime.now(UTC))
                yield MatchingWalk(letters, picker, choice.limit, on_progress)
        finally:
            self._turn.release()


def _by_time(letters: list[Summary]) -> list[Summary]:
    """Those without a time are the last."""
    return sorted(letters, key=lambda letter: letter.at or _NEVER)


def _interrupted(error: UnavailableError, done: dict[str, JsonValue]) -> UnavailableError:
    return UnavailableError(error.message, {**error.details, **done})
