"""A store's outbox for the tests of subscriptions: what it keeps, answers and publishes."""

from collections.abc import Callable

from pydantic import JsonValue

from holdfast_protocol.bus.memory_broker import MemoryBroker
from holdfast_protocol.bus.messages import Announcement
from holdfast_protocol.events import decode_events, encode_event
from holdfast_protocol.jsonbytes import join_array
from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.replies import RawJson, Reply
from tests.unit.client.responder import Script, answering

KINDS = ("created", "updated", "deleted")


class Ledger:
    """Events by collection, answered as the contract has it; published only when told to.

    `before_answer` is called when a request has come and nothing was read yet, `after_reading`
    when the answer was made and did not leave yet.
    """

    def __init__(self, page: int = 1_000) -> None:
        self._events: dict[str, list[tuple[int, bytes]]] = {}
        self._last: dict[str, int] = {}
        self._pruned: dict[str, int] = {}
        self._page = page
        self.asked: list[AgentMessage] = []
        self.before_answer: Callable[[], None] = lambda: None
        self.after_reading: Callable[[], None] = lambda: None

    @property
    def script(self) -> Script:
        return answering(self.answer)

    @property
    def fetches(self) -> int:
        """How many pages of events were asked for."""
        return sum(message.action == "storage_events" for message in self.asked)

    def change(
        self, collection: str = "tasks", times: int = 1, *, jump: int = 0, size: int = 0
    ) -> bytes:
        """Some changes, as one batch to publish; `jump` leaves that many numbers out before."""
        self._last[collection] = self._last.get(collection, 0) + jump
        return join_array([self._change(collection, size) for _ in range(times)])

    def _change(self, collection: str, size: int) -> bytes:
        sequence = self._last[collection] = self._last[collection] + 1
        document = b'{"id":7,"text":"' + b"x" * size + b'"}'
        kind = KINDS[sequence % 3]
        event = encode_event(collection, kind, 7, sequence, sequence, "m", None, 0, document)
        self._events.setdefault(collection, []).append((sequence, event))
        return event

    def skip(self, collection: str, numbers: int) -> None:
        """Leave out the next numbers."""
        self._last[collection] += numbers

    def prune(self, collection: str, before: int) -> None:
        """Forget the events below a sequence."""
        kept = [event for event in self._events[collection] if event[0] >= before]
        self._events[collection] = kept
        self._pruned[collection] = before - 1

    def restore(self, collection: str, last: int) -> None:
        """Forget everything above a sequence, as a backup does; with 0 the collection too."""
        kept = [event for event in self._events.get(collection, []) if event[0] <= last]
        self._events[collection] = kept
        self._last[collection] = last
        if not last:
            del self._last[collection]

    def sequences(self, collection: str, kind: str | None = None) -> list[int]:
        """Of what is kept, all or of one kind."""
        kept = [s for s, _ in self._events.get(collection, [])]
        return [s for s in kept if kind is None or KINDS[s % 3] == kind]

    def answer(self, message: AgentMessage) -> Reply:
        self.asked.append(message)
        self.before_answer()
        reply = self._positions(message)
        if message.action == "storage_events":
            reply = self._page_after(message)
        self.after_reading()
        return reply

    def _positions(self, message: AgentMessage) -> Reply:
        told: list[JsonValue] = [
            {"collection": name, "sequence": sequence} for name, sequence in self._last.items()
        ]
        return Reply.success(message, "storage", told)

    def _page_after(self, message: AgentMessage) -> Reply:
        collection, after = message.payload["collection"], message.payload["after"]
        limit = message.payload["limit"]
        assert isinstance(collection, str)
        assert isinstance(after, int)
        assert isinstance(limit, int)
        last = self._last.get(collection, 0)
        kept = self._events.get(collection, [])
        first = kept[0][0] if kept else last + 1
        if after < self._pruned.get(collection, 0):
            text = f"The events up to {first - 1} were pruned; begin after {first - 1}"
            details: dict[str, JsonValue] = {"first_sequence": first}
            return Reply.failure(message, "storage", "not_found", text, details)
        page = [event for sequence, event in kept if sequence > after]
        page = page[: min(limit, self._page)]
        meta: dict[str, JsonValue] = {"last_sequence": last, "first_sequence": first}
        return Reply.success(message, "storage", RawJson(join_array(page)), meta)


def publish(broker: MemoryBroker, body: bytes, collection: str | None = None) -> bool:
    """Push a batch, now; whether anybody hears it."""
    key = collection or decode_events(body)[0].collection
    return broker.listeners("holdfast", "changes").announce(Announcement("changes", key, body))


def changed(broker: MemoryBroker, ledger: Ledger, *collections: str, times: int = 1) -> None:
    """Changes that are pushed, each in a batch of its own."""
    for collection in collections:
        for _ in range(times):
            publish(broker, ledger.change(collection))
