"""One message on its way, and one AMQP message that carried it."""

import asyncio
from dataclasses import dataclass, field
from math import inf

from holdfast_protocol.client.retrying import spread
from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.messages import AgentMessage, AgentResponse


@dataclass(slots=True, eq=False, weakref_slot=True)
class Shipment:
    """One AMQP message under way: what it held, and since when the broker has it.

    `generation` is that of the reply address when the publish began; `confirmed_at` the
    moment (event loop seconds) at which the broker took it, infinite before. `spread` is
    the jitter of what comes back from it.
    """

    correlation_id: str
    message_ids: frozenset[str]
    generation: int
    confirmed_at: float = inf
    spread: float = field(default_factory=spread)


@dataclass(slots=True, eq=False)
class Outgoing:
    """A message that was encoded and waits for its answer (or only for the broker's confirm).

    All moments are seconds of the event loop's clock. While `shipment` is None the message
    waits: to be put into a shipment, or until `retry_at` when that is finite. `reached` is
    whether any attempt may have reached the agent's queue.
    """

    message: AgentMessage
    recipient: str
    body: bytes
    wants_reply: bool
    future: asyncio.Future[AgentResponse | None]
    expires_at: float
    deadline_at: float
    interval: float
    retry_at: float = inf
    attempts: int = 0
    shipment: Shipment | None = None
    reached: bool = False
    failure: HoldfastError | None = field(default=None, repr=False)

    def due_at(self, generation: int) -> float:
        """When to send it again, were there no answer until then; infinite for not yet known.

        At once, when the broker took it over a connection of an earlier generation.
        """
        shipment = self.shipment
        if shipment is None:
            return self.retry_at
        if shipment.generation < generation and shipment.confirmed_at < inf:
            return -inf
        return shipment.confirmed_at + self.interval

    def fail(self, error: HoldfastError, cause: BaseException | None = None) -> None:
        """End the wait with an error of its own, unless it has ended already."""
        if not self.future.done():
            error.__cause__ = cause
            self.future.set_exception(error)
