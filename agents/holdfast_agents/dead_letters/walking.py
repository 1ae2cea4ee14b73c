"""One walk through the dead letters: the matching ones, part by part."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TypeAlias

from holdfast_protocol.bus.contract import DeadLetters
from holdfast_protocol.bus.messages import DeadLetter

from .choosing import Picker

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many letters the walk has met, and how many there are to meet."""

_PART: Final = 100


class MatchingWalk:
    """Gives the letters that match, `limit` at most, in parts of which none is empty.

    Nothing of a part is kept here when the next one is asked for.
    """

    def __init__(
        self,
        walk: DeadLetters,
        picker: Picker,
        limit: int | None,
        on_progress: Progress | None,
    ) -> None:
        self._walk = walk
        self._picker = picker
        self._limit = limit
        self._on_progress = on_progress
        self._met = 0
        self.matched = 0

    @property
    def total(self) -> int:
        """How many letters of any kind there were to meet."""
        return self._walk.total

    @property
    def is_complete(self) -> bool:
        """Whether all of them were met."""
        return self._met >= self._walk.total

    async def parts(self) -> AsyncIterator[list[DeadLetter]]:
        """Until the end of the walk, or the limit. Raises UnavailableError."""
        self._tell()
        while letters := await self._take():
            matching = await self._picker.matching(letters)
            if self._limit is not None:
                matching = matching[: self._limit - self.matched]
            if matching:
                self.matched += len(matching)
                yield matching
            self._tell()

    async def _take(self) -> list[DeadLetter]:
        left = _PART if self._limit is None else self._limit - self.matched
        if left <= 0:
            return []
        letters = await self._walk.take(min(_PART, left) if self._picker.takes_all else _PART)
        # Others may have taken some of those that were there.
        self._met = self._met + len(letters) if letters else max(self._met, self._walk.total)
        return letters

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        """Gone for good once this returns. Raises UnavailableError: they may be there still."""
        if letters:
            await self._walk.remove(letters)

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._met, self._walk.total)
