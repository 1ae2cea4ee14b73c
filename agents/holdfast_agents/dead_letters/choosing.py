"""Which dead letters are meant."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from holdfast_protocol.actions import DeadLetterFilter
from holdfast_protocol.bus.messages import DeadLetter

from .contents import beside, read_contents


@dataclass(frozen=True, slots=True)
class Choice:
    """Dead letters to be sent again or removed: those for which everything given holds, at most
    `limit` of them, about the oldest. Without anything given, all of them: whoever asks makes
    sure that this is meant.

    `ids` are those of letters; letters of the same message share theirs. `dry_run` only counts.
    What is known to have been given up after `until` (aware) is not meant: who asks again,
    because the answer was lost, is to reach nothing that came since.
    """

    filter: DeadLetterFilter = field(default_factory=DeadLetterFilter)
    ids: Collection[str] | None = None
    limit: int | None = None
    dry_run: bool = False
    until: datetime | None = None


class Picker:
    """Picks the letters that match, by their age at `now` (aware).

    A letter of which it is not known when it was given up has no age, and matches neither
    `older_than_seconds` nor `newer_than_seconds`.
    """

    def __init__(self, choice: Choice, now: datetime) -> None:
        self._filter = choice.filter
        self._ids = None if choice.ids is None else frozenset(choice.ids)
        self._until = choice.until
        self._now = now

    @property
    def takes_all(self) -> bool:
        """Whether every letter matches."""
        return self._ids is None and self._until is None and not self._filter.filters

    async def matching(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Those that match, in order. A body is only read where everything else matches."""
        if self.takes_all:
            return [*letters]
        near = [letter for letter in letters if self._matches(letter)]
        if self._filter.action is None:
            return near
        return [letter for letter in near if await self._holds_action(letter)]

    def _matches(self, letter: DeadLetter) -> bool:
        chosen = self._filter
        return (
            (self._ids is None or letter.id in self._ids)
            and chosen.reason in (None, letter.reason)
            and chosen.agent in (None, letter.agent)
            and self._matches_age(letter.at)
            and not self._is_later(letter.at)
        )

    def _is_later(self, at: datetime | None) -> bool:
        return self._until is not None and at is not None and at > self._until

    def _matches_age(self, at: datetime | None) -> bool:
        older, newer = self._filter.older_than_seconds, self._filter.newer_than_seconds
        if older is None and newer is None:
            return True
        if at is None:
            return False
        age = (self._now - at).total_seconds()
        return (older is None or age >= older) and (newer is None or age < newer)

    async def _holds_action(self, letter: DeadLetter) -> bool:
        contents = await beside(read_contents, letter.body)
        return self._filter.action in contents.actions
