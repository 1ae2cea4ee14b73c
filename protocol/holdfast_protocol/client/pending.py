"""What waits for an answer, and how an answer finds it.

Source: the wire contract, sections 3, 5 and 10 "Bodies".
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from weakref import WeakValueDictionary

from holdfast_protocol.bus.contract import ReplyDelivery
from holdfast_protocol.client.outgoing import Outgoing, Shipment
from holdfast_protocol.codec import decode_responses
from holdfast_protocol.errors import ValidationError
from holdfast_protocol.messages import AgentResponse

_log = logging.getLogger("holdfast.client")


@dataclass(slots=True)
class Counters:
    """What a client has done since it was opened; for reading.

    `published` counts AMQP messages, `resent` messages that went out again, `unmatched`
    answers that nobody waited for (duplicates are normal after a resend), `malformed` reply
    bodies that could not be read, `timed_out` requests without an answer in time.
    """

    messages: int = 0
    published: int = 0
    resent: int = 0
    unmatched: int = 0
    malformed: int = 0
    timed_out: int = 0


class Pending:
    """The messages that wait, by id. One id waits once; who comes second waits its turn.

    `postpone(item, response)` is asked before an error is handed out: True means that the
    message will be sent again instead.
    """

    def __init__(
        self, counters: Counters, postpone: Callable[[Outgoing, AgentResponse], bool]
    ) -> None:
        self._counters = counters
        self._postpone = postpone
        self._items: dict[str, Outgoing] = {}
        # A shipment lives as long as a message that waits refers to it.
        self._shipments: WeakValueDictionary[str, Shipment] = WeakValueDictionary()

    def __iter__(self) -> Iterator[Outgoing]:
        return iter(tuple(self._items.values()))

    def __bool__(self) -> bool:
        return bool(self._items)

    def holds(self, message_id: str) -> bool:
        """Whether a message of that id still waits."""
        item = self._items.get(message_id)
        return item is not None and not item.future.done()

    async def vacated(self, message_id: str) -> None:
        """Until no message of that id waits."""
        while self.holds(message_id):
            await asyncio.wait([self._items[message_id].future])

    def add(self, item: Outgoing) -> None:
        """From now on its answer is known for what it is."""
        self._items[item.message.id] = item

    def discard(self, item: Outgoing) -> None:
        """Nobody waits for it any more."""
        if self._items.get(item.message.id) is item:
            del self._items[item.message.id]

    def shipped(self, shipment: Shipment) -> None:
        """A refusal of the whole body will name the shipment's correlation id only."""
        self._shipments[shipment.correlation_id] = shipment

    def on_reply(self, reply: ReplyDelivery) -> None:
        """Hand the answers of one body to those who wait for them; never raises."""
        try:
            responses = decode_responses(reply.body)
        except ValidationError as error:
            self._counters.malformed += 1
            _log.warning(
                "Ignored a reply of %d bytes that is no response: %s", len(reply.body), error
            )
            return
        for response in responses:
            item = self._items.get(response.in_reply_to or "")
            if item is not None and item.wants_reply and not item.future.done():
                self._settle(item, response)
            elif not (len(responses) == 1 and self._refuse_shipment(reply, response)):
                self._counters.unmatched += 1

    def _settle(self, item: Outgoing, response: AgentResponse) -> None:
        if response.status == "success" or not self._postpone(item, response):
            item.future.set_result(response)

    def _refuse_shipment(self, reply: ReplyDelivery, response: AgentResponse) -> bool:
        """Whether the response refuses a whole body; then all its messages are answered so."""
        shipment = self._shipments.get(reply.correlation_id or "")
        if (
            shipment is None
            or response.status != "error"
            or response.in_reply_to in shipment.message_ids
        ):
            return False
        for message_id in shipment.message_ids:
            item = self._items.get(message_id)
            if item is not None and item.shipment is shipment and not item.future.done():
                self._settle(item, _addressed(response, item))
        return True


def _addressed(response: AgentResponse, item: Outgoing) -> AgentResponse:
    message = item.message
    return response.model_copy(
        update={"in_reply_to": message.id, "correlation_id": message.correlation_id}
    )
