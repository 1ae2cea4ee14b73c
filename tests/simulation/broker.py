"""The broker that all simulated buses meet at: the in-process bus's own, and its reply queues.

It is durable: what it holds survives the connections and restarts; what a connection had in hand
comes again.
"""

from collections import deque
from collections.abc import Callable

import orjson

from holdfast_protocol.bus.memory_broker import MemoryBroker
from holdfast_protocol.bus.memory_consumer import MemoryConsumer
from holdfast_protocol.bus.messages import ReplyDelivery
from tests.simulation.world import World


class ReplyQueue:
    """The reply queue of one client process.

    It outlives a lost connection: what was not taken is handed over to the next one, and what was
    taken last comes again, because its settling was perhaps lost.
    """

    def __init__(self, world: World, hand_over: Callable[[ReplyDelivery], None]) -> None:
        self._world = world
        self._hand_over = hand_over
        self._waiting: deque[tuple[ReplyDelivery, bool]] = deque()
        self._last: tuple[ReplyDelivery, bool] | None = None
        self._connection = 1
        self._connected = True
        self._not_before = 0.0

    def put(self, reply: ReplyDelivery, *, is_faulted: bool) -> None:
        """Take one more; it is handed over in order."""
        self._waiting.append((reply, is_faulted))
        if self._connected:
            self._push()

    def cut(self) -> None:
        """Its connection is lost."""
        self._connected = False
        self._connection += 1

    def reconnect(self) -> None:
        """It has a connection again."""
        self._connected = True
        if self._last is not None and self._world.chance(0.5):
            self._waiting.appendleft((self._last[0], True))
        self._last = None
        for _ in range(len(self._waiting)):
            self._push()

    def _push(self) -> None:
        at = max(self._not_before, self._world.now + self._world.latency())
        self._not_before = at
        self._world.later(at - self._world.now, self._arrive, self._connection)

    def _arrive(self, connection: int) -> None:
        if connection != self._connection or not self._waiting:
            return
        self._last = self._waiting.popleft()
        self._hand_over(self._last[0])
        self._world.delivered("reply", is_faulted=self._last[1])


class SimulatedBroker:
    """The broker.

    Attributes:
        core: queues, dead letters, listeners and journals.
        away_until: until when nobody reaches it.
        faulted: AMQP message ids of deliveries that a fault has met already.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.core = MemoryBroker()
        self.away_until = 0.0
        self.replies: dict[str, ReplyQueue] = {}
        self.faulted: set[str] = set()
        self.cutters: list[Callable[[float], None]] = []

    def restart(self, seconds: float) -> None:
        """Every connection is lost, and for a while there are no new ones."""
        self.world.tell(f"the broker restarts: {seconds:.3f} s")
        self.away_until = self.world.now + seconds
        for cut in tuple(self.cutters):
            cut(seconds)

    def unsettled(self) -> int:
        """How many messages wait in the queues, are on their way to a consumer or in its hands."""
        return sum(
            len(queue._ready)
            + sum(
                len(one._unsettled) for one in queue._subscribers if isinstance(one, MemoryConsumer)
            )
            for queue in self.core._queues.values()
        )

    def dead_letters(self) -> dict[str, str]:
        """The reason of each message that is in the dead letters, by its id."""
        found: dict[str, str] = {}
        for letter in self.core.letters():
            said = orjson.loads(letter.body)
            for message in said if isinstance(said, list) else [said]:
                found[message["id"]] = letter.headers["x-holdfast-reason"]
        return found
