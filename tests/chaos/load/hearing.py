"""A subscription that stands all the time, whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import ConflictError, HoldfastError, NotFoundError
from holdfast_protocol.events import ChangeEvent
from tests.chaos.load.tasks import end

_PAUSE: Final = 0.5
_RESYNC: Final = 5.0


class Ear:
    """What subscriptions to some collections were given, in their order.

    A subscription ends with an error when the store has forgotten events; then nothing more is
    heard of that collection, and the checks find it incomplete.
    """

    def __init__(self, bus: str, namespace: str, collections: Sequence[str]) -> None:
        self._bus = bus
        self._namespace = namespace
        self.heard: dict[str, list[Mapping[str, Any]]] = {name: [] for name in collections}
        self.ended: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear while the context is entered."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._hear(name)) for name in self.heard]
        try:
            yield
        finally:
            await end(self._tasks)

    async def until(self, collection: str, sequence: int, patience: float) -> None:
        """Until an event was heard, or for so many seconds none was, or none will be."""
        while self._last(collection) < sequence and collection not in self.ended:
            self._news.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._news.wait()
            except TimeoutError:
                return  # what was not heard is for the checks

    def _last(self, collection: str) -> int:
        heard = self.heard[collection]
        return heard[-1]["sequence"] if heard else 0

    async def _hear(self, collection: str) -> None:
        after = 0
        while True:
            try:
                async with AsyncExitStack() as stack:
                    client = AgentClient(self._bus, "ear", namespace=self._namespace)
                    await stack.enter_async_context(client)
                    events = client.subscribe(
                        f"{collection}.*", after=after, resync_seconds=_RESYNC
                    )
                    async for event in await stack.enter_async_context(events):
                        self.heard[collection].append(_on_wire(event))
                        after = event.sequence
                        self._news.set()
            except (NotFoundError, ConflictError) as error:
                self.ended[collection] = str(error)
                self._news.set()
                return
            except HoldfastError:
                await asyncio.sleep(_PAUSE)


def _on_wire(event: ChangeEvent) -> Mapping[str, Any]:
    return {
        "id": event.id,
        "collection": event.collection,
        "kind": event.kind,
        "record_id": event.record_id,
        "version": event.version,
        "sequence": event.sequence,
        "message_id": event.message_id,
        "sender": event.sender,
        "document": event.document,
    }
