"""The dead letters of the in-process bus, and walks through them."""

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from holdfast_protocol.bus.deadletters import MAX_TAKEN_BYTES, check_limit, dead_letter_from
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.errors import BusClosedError


@dataclass(frozen=True, slots=True)
class BuriedLetter:
    """A message that was given up, with the headers that say why."""

    namespace: str
    body: bytes
    routing_key: str
    headers: dict[str, str]
    reply_to: str | None
    correlation_id: str | None
    message_id: str | None


class MemoryLetters:
    """The newest dead letters of a broker, `limit` at most, and which of them a walk holds."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._letters: OrderedDict[int, BuriedLetter] = OrderedDict()
        self._held: set[int] = set()
        self._numbers = itertools.count(1)

    def __iter__(self) -> Iterator[BuriedLetter]:
        return iter(self._letters.values())

    def add(self, letter: BuriedLetter) -> None:
        self._letters[next(self._numbers)] = letter
        if len(self._letters) > self._limit:
            number, _ = self._letters.popitem(last=False)
            self._held.discard(number)

    def free(self, namespace: str) -> list[int]:
        """The numbers of those that no walk holds, oldest first."""
        return [
            number
            for number, letter in self._letters.items()
            if letter.namespace == namespace and number not in self._held
        ]

    def hold(self, number: int) -> BuriedLetter | None:
        """Take one for a walk; None when it is gone or held."""
        letter = self._letters.get(number)
        if letter is None or number in self._held:
            return None
        self._held.add(number)
        return letter

    def release(self, number: int) -> None:
        self._held.discard(number)

    def remove(self, number: int) -> None:
        self._letters.pop(number, None)
        self._held.discard(number)


class MemoryWalk:
    """One walk: what it took, nobody else meets until it is closed."""

    def __init__(self, letters: MemoryLetters, namespace: str) -> None:
        self._letters = letters
        self._ahead = letters.free(namespace)
        self._ahead.reverse()
        self._taken: set[int] = set()
        self._closed = False
        self.total = len(self._ahead)

    async def take(self, limit: int) -> list[DeadLetter]:
        check_limit(limit)
        self._require_open()
        taken: list[DeadLetter] = []
        size = 0
        while self._ahead and len(taken) < limit and size < MAX_TAKEN_BYTES:
            number = self._ahead.pop()
            letter = self._letters.hold(number)
            if letter is not None:
                self._taken.add(number)
                taken.append(self._dead_letter(letter, number))
                size += len(letter.body)
        return taken

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        self._require_open()
        for letter in letters:
            tag = letter.tag
            if isinstance(tag, tuple) and tag[0] is self and tag[1] in self._taken:
                self._taken.discard(tag[1])
                self._letters.remove(tag[1])

    def close(self) -> None:
        """Give back what was not removed."""
        self._closed = True
        for number in self._taken:
            self._letters.release(number)
        self._taken.clear()

    def _require_open(self) -> None:
        if self._closed:
            raise BusClosedError("The walk through the dead letters is over")

    def _dead_letter(self, letter: BuriedLetter, number: int) -> DeadLetter:
        return dead_letter_from(
            body=letter.body,
            routing_key=letter.routing_key,
            message_id=letter.message_id,
            reply_to=letter.reply_to,
            correlation_id=letter.correlation_id,
            headers=letter.headers,
            death=None,
            tag=(self, number),
        )
