"""How far events are published on a bus."""

from collections.abc import Mapping
from typing import Protocol

from holdfast_backends.outbox import Outbox


class Marks(Protocol):
    """Marks of one relay. Everything may raise `UnavailableError`."""

    async def unpublished(self) -> Mapping[str, int]:
        """The collections with events to publish, and up to which sequence they are published."""
        ...

    async def raise_to(self, marks: Mapping[str, int]) -> None:
        """Events up to these sequences are published."""
        ...


class StoredMarks:
    """Kept in the store: whoever leads next goes on where the last one ended."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def unpublished(self) -> Mapping[str, int]:
        """As `Marks.unpublished`."""
        return await self._outbox.unpublished()

    async def raise_to(self, marks: Mapping[str, int]) -> None:
        """As `Marks.raise_to`."""
        await self._outbox.mark_published(marks)


class OwnMarks:
    """Of a bus inside this process: nobody hears it who was not here, so publishing begins with
    what is changed from now on, and what others publish elsewhere has no part in it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._marks: dict[str, int] | None = None

    async def unpublished(self) -> Mapping[str, int]:
        """As `Marks.unpublished`."""
        positions = await self._outbox.positions()
        if self._marks is None:
            self._marks = dict(positions)
        marks = self._marks
        return {
            name: marks.get(name, 0)
            for name, position in positions.items()
            if position > marks.get(name, 0)
        }

    async def raise_to(self, marks: Mapping[str, int]) -> None:
        """As `Marks.raise_to`."""
        self._marks = {**(self._marks or {}), **marks}
