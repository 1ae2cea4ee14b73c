"""Defects in what is told of changes: the outbox, the relay, the subscription."""

from collections.abc import Mapping, Sequence

from holdfast_agents.events import relay
from holdfast_agents.events.leadership import Elected
from holdfast_agents.events.publishing import announce as announce_events
from holdfast_agents.events.relay import Relay
from holdfast_backends.store import CREATED, DELETED, UPDATED, EventRow, Row
from holdfast_backends.workspace import Workspace
from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.client.following import Follow, Inbox
from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.events import ChangeEvent

from .contract import Patcher


def lost_outbox_row(patch: Patcher) -> None:
    """A deletion leaves nothing in the outbox."""
    real = Workspace._keep_event

    def keep(
        self: Workspace, collection: str, sequence: int, kind: int, row: Row, document: bytes
    ) -> None:
        if kind != DELETED:
            real(self, collection, sequence, kind, row, document)

    patch.replace(Workspace, "_keep_event", keep)


def event_of_the_state_before(patch: Patcher) -> None:
    """The event of an update holds the document as it was before."""
    real = Workspace._keep_event

    def keep(
        self: Workspace, collection: str, sequence: int, kind: int, row: Row, document: bytes
    ) -> None:
        change = self._changes.rows.get((collection, row.key))
        if kind == UPDATED and change is not None and change.previous is not None:
            document = change.previous.document or document
        real(self, collection, sequence, kind, row, document)

    patch.replace(Workspace, "_keep_event", keep)


def event_without_its_message(patch: Patcher) -> None:
    """The event of a creation does not tell whose message it was."""
    real = Workspace._keep_event

    def keep(
        self: Workspace, collection: str, sequence: int, kind: int, row: Row, document: bytes
    ) -> None:
        actor = self.actor
        if kind == CREATED:
            self.actor = None
        real(self, collection, sequence, kind, row, document)
        self.actor = actor

    patch.replace(Workspace, "_keep_event", keep)


def marked_before_it_is_published(patch: Patcher) -> None:
    """The relay raises the mark, and then announces: a death in between loses events."""

    async def publish(self: Relay) -> bool:
        marks: dict[str, int] = {}
        for collection, mark in (await self._marks.unpublished()).items():
            if not await self._leadership.lead():
                break
            page = await self._outbox.read(collection, mark, 100)
            if not page.events:
                continue
            marks[collection] = page.events[-1].sequence
            await self._marks.raise_to({collection: marks[collection]})
            await announce_events(self._bus, collection, page.events)
        return bool(marks)

    patch.replace(Relay, "_publish", publish)


def unannounced_page_is_skipped(patch: Patcher) -> None:
    """Events that the broker did not take count as published."""

    async def announce(bus: Bus, collection: str, events: Sequence[EventRow]) -> None:
        try:
            await announce_events(bus, collection, events)
        except HoldfastError:
            return

    patch.replace(relay, "announce", announce)


def everybody_leads(patch: Patcher) -> None:
    """Each process publishes, from its own idea of what is published, newest first."""

    async def lead(_self: Elected) -> bool:
        return True

    async def announce(bus: Bus, collection: str, events: Sequence[EventRow]) -> None:
        await announce_events(bus, collection, events[len(events) // 2 :])
        if len(events) > 1:
            await announce_events(bus, collection, events[: len(events) // 2])

    patch.replace(Elected, "lead", lead)
    patch.replace(relay, "announce", announce)


def gap_not_fetched(patch: Patcher) -> None:
    """A subscription that missed something goes on with what it hears next."""

    def fall_behind(_self: Inbox, _follow: Follow) -> None:
        return

    real = Inbox._continue

    def go_on(self: Inbox, follow: Follow, events: list[ChangeEvent], size: int) -> None:
        if events[0].sequence > follow.seen + 1:
            follow.seen = events[0].sequence - 1
        real(self, follow, events, size)

    def compare(_self: Inbox, _seen: Mapping[str, int], _told: Mapping[str, int]) -> None:
        return

    patch.replace(Inbox, "fall_behind", fall_behind)
    patch.replace(Inbox, "_continue", go_on)
    patch.replace(Inbox, "compare", compare)
