"""What a client has while it is open: the bus, the exchange, and what still runs at the end."""

from contextlib import AsyncExitStack
from typing import Final

from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.client.background import Background
from holdfast_protocol.client.exchange import Bounds, Exchange
from holdfast_protocol.client.subscription import Subscription
from holdfast_protocol.errors import BusClosedError

_ANONYMOUS: Final = "anonymous"


class Session:
    """Opened once, and closed in the opposite order."""

    def __init__(self, bus: Bus, bounds: Bounds, *, owns_bus: bool, retry: bool) -> None:
        self.bus = bus
        self.background = Background()
        self.subscriptions: set[Subscription] = set()
        self._bounds = bounds
        self._owns_bus = owns_bus
        self._retry = retry
        self._entered = False
        self._exchange: Exchange | None = None
        self._stack = AsyncExitStack()

    @property
    def exchange(self) -> Exchange:
        """The traffic. Raises BusClosedError before the opening."""
        if self._exchange is None:
            raise BusClosedError(
                "The client is not open: use `async with AgentClient(…) as client`"
            )
        return self._exchange

    async def open(self, sender: str | None) -> None:
        """Open the bus and the reply address.

        Raises:
            UnavailableError: the broker cannot be reached.
            RuntimeError: it was opened before.
        """
        if self._entered:
            raise RuntimeError("A client is entered once; make another one")
        self._entered = True
        async with AsyncExitStack() as stack:
            if self._owns_bus:
                await stack.enter_async_context(self.bus)
            exchange = Exchange(self.bus, self._bounds, retry=self._retry)
            await exchange.open(sender or _ANONYMOUS)
            stack.push_async_callback(exchange.close)
            stack.push_async_callback(self.background.close)
            stack.push_async_callback(self._end_subscriptions)
            self._stack = stack.pop_all()
        self._exchange = exchange

    async def close(self) -> None:
        """Whatever still waits fails with BusClosedError."""
        await self._stack.aclose()

    async def _end_subscriptions(self) -> None:
        for subscription in tuple(self.subscriptions):
            await subscription.end(BusClosedError("The client was closed"))
