"""Hearing broadcasts over a connection that may break: what is told meanwhile is missed."""

from collections.abc import Callable

from holdfast_protocol.bus.memory_listeners import MemoryListener
from holdfast_protocol.bus.messages import Broadcast
from tests.simulation.processes import Process
from tests.simulation.world import World


class SimulatedListener:
    """One listener over all of its connections, as `Listener`.

    Args:
        bind: makes the broker's part of a connection.
    """

    def __init__(
        self,
        world: World,
        process: Process,
        bind: Callable[[Callable[[Broadcast], None]], MemoryListener],
        on_message: Callable[[Broadcast], None],
        on_ready: Callable[[], None] | None,
    ) -> None:
        self._world = world
        self._process = process
        self._bind = bind
        self._on_message = on_message
        self._on_ready = on_ready
        self._inner: MemoryListener | None = None
        self._connection = 0
        self._not_before = 0.0
        self.is_closed = False

    @property
    def connected(self) -> bool:
        """As `Listener.connected`."""
        return self._inner is not None

    async def close(self) -> None:
        """As `Listener.close`."""
        self.drop()

    def connect(self) -> None:
        """Bind a queue."""
        if self.is_closed or not self._process.alive:
            return
        self._connection += 1
        connection = self._connection
        self._inner = self._bind(lambda broadcast: self._push(broadcast, connection))

    def cut(self) -> None:
        """The connection is lost, and its queue with it."""
        self._connection += 1
        if self._inner is not None:
            self._inner.stop()
            self._inner = None

    def reconnect(self) -> None:
        """Bind another queue, and say so."""
        if self.is_closed:
            return
        self.connect()
        if self._on_ready is not None:
            self._world.loop.call_soon(self._on_ready, context=self._process.context)

    def drop(self) -> None:
        """It is over."""
        self.is_closed = True
        self.cut()

    def _push(self, broadcast: Broadcast, connection: int) -> None:
        # A queue is in order, however long each of its messages takes.
        at = max(self._not_before, self._world.now + self._world.latency())
        self._not_before = at
        self._world.later(at - self._world.now, self._arrive, broadcast, connection)

    def _arrive(self, broadcast: Broadcast, connection: int) -> None:
        is_lost = connection != self._connection
        self._world.delivered("broadcast", is_faulted=is_lost)
        if not is_lost and not self.is_closed:
            self._world.loop.call_soon(self._on_message, broadcast, context=self._process.context)
