"""Publishing messages to the simulated broker."""

from collections.abc import Callable
from typing import Final

from holdfast_protocol.bus.checks import expiration_ms
from holdfast_protocol.bus.memory_queue import Entry
from holdfast_protocol.bus.messages import Delivery, Publication
from holdfast_protocol.errors import NoRouteError, OverloadedError
from tests.simulation.broker import SimulatedBroker
from tests.simulation.faults import Injected
from tests.simulation.processes import Process
from tests.simulation.wire import SLOW_SECONDS, Wire

_RETRY_AFTER: Final = 1.0


class Publisher:
    """One process's publishing.

    Args:
        cut: has the connection that hears replies be lost, for so many seconds.
    """

    def __init__(
        self,
        broker: SimulatedBroker,
        process: Process,
        wire: Wire,
        namespace: str,
        cut: Callable[[float], None],
    ) -> None:
        self._broker = broker
        self._world = broker.world
        self._process = process
        self._wire = wire
        self._namespace = namespace
        self._cut = cut
        self._published = 0

    async def publish(self, publication: Publication) -> None:
        """As `Bus.publish`."""
        await self._wire.call(
            "publish",
            lambda: self._route(publication, is_faulted=False),
            twist=lambda fault: self._twisted(publication, fault),
        )

    def _twisted(self, publication: Publication, fault: Injected) -> Callable[[], None] | None:
        def route() -> None:
            self._route(publication, is_faulted=True)

        match fault.kind:
            case "lost":
                self._world.delivered("message", is_faulted=True)
                return None
            case "twice":

                def twice() -> None:
                    route()
                    self._world.later(SLOW_SECONDS * fault.amount**4, route)

                return twice
            case "refused":

                def refuse() -> None:
                    self._world.delivered("message", is_faulted=True)
                    raise OverloadedError(
                        "The agent's queue takes no more now",
                        {"retry_after_seconds": _RETRY_AFTER * fault.amount + 0.01},
                    )

                return refuse
            case "cut":
                self._cut(SLOW_SECONDS * fault.amount)
                return None
            case _:
                return route

    def _route(self, publication: Publication, *, is_faulted: bool) -> None:
        core = self._broker.core
        queue = core.route(self._namespace, publication.routing_key)
        if queue is None:
            raise NoRouteError(f"No agent is bound for {publication.routing_key!r}")
        self._published += 1
        message_id = f"{self._process.name}-{self._published}"
        delivery = Delivery(
            publication.body,
            publication.routing_key,
            core.next_tag(),
            publication.reply_to,
            publication.correlation_id,
            message_id,
        )
        if is_faulted:
            self._broker.faulted.add(message_id)
        expires_at = None
        if publication.expiration_seconds is not None:
            expires_at = self._world.now + expiration_ms(publication.expiration_seconds) / 1000
        entry: Entry = (delivery, expires_at)
        if self._world.is_traced:
            self._world.tell(f"{message_id} arrives as {delivery.tag}: {publication.body.decode()}")
        if not queue.offer(entry):
            raise OverloadedError(
                "The agent's queue takes no more now", {"retry_after_seconds": 1.0}
            )
