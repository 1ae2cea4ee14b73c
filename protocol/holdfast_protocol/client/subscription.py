"""A subscription to change events: pushed where possible, fetched where something is missing.

The broker's push may lose an event (a lost connection, a full queue); the store's outbox does
not. So every number is checked, and what is missing is asked for. That work is only done
when somebody waits for events, so that what waits in memory stays bounded.
Source: the wire contract, section 9.
"""

import asyncio
import logging
from collections.abc import Mapping
from math import inf
from types import TracebackType
from typing import Final, Self

from holdfast_protocol.bus.contract import Broadcast, Bus, Listener
from holdfast_protocol.client.asking import Requester, ask
from holdfast_protocol.client.following import Follow, Inbox
from holdfast_protocol.client.positions import (
    events_of,
    last_sequence_of,
    positions_of,
    start_of,
)
from holdfast_protocol.client.retrying import backoff, retry_after_of, spread
from holdfast_protocol.errors import HoldfastError, NotFoundError
from holdfast_protocol.events import ChangeEvent, parse_event_pattern
from holdfast_protocol.messages import AgentResponse

_log = logging.getLogger("holdfast.client")

PAGE: Final = 1_000
RESYNC_SECONDS: Final = 30.0
_SHORTEST_RESYNC: Final = 1.0
"""Seconds between two comparisons that pushes ask for: whoever may publish may ask so."""
_LONGEST_PAUSE: Final = 60.0


class Subscription:
    """The change events of a pattern, from a moment on: an async iterator of `ChangeEvent`.

        async with client.subscribe("tasks.*", after=17) as events:
            async for event in events:
                ...

    The events of one collection come with rising sequence, each once; those of several in no
    particular order among each other. It outlives lost connections and agents that are away,
    however long. Iterated without `async with` it opens itself, and stays open until it is
    closed, an error ends it, or the client is left; where the opening is cancelled, the next
    iteration opens it. For one task at a time.

    Entering raises UnavailableError when the broker is not there, and, without `after`, what
    a request raises. Iterating raises the typed error of an answer that no retry can mend:

        NotFoundError: events that are needed were pruned already; `details.collection`,
            and `details.first_sequence`, the first one that is still kept.
        ConflictError: `after`, or what was handed out, is beyond the last change that the store
            knows of: it was restored from a backup or began anew, or somebody forged events.
            `details.collection`, and `details.last_sequence`, that last change. This is
            noticed as long as the collection has not come as far again, within
            `resync_seconds`.

    Events are believed to whoever may publish to the broker's exchange `changes`: one that is
    forged with the very next sequence is handed out, in place of the one that the store has
    under it. Who may write there is for the broker's permissions.
    """

    def __init__(
        self,
        client: Requester,
        bus: Bus,
        pattern: str,
        after: int | Mapping[str, int] | None,
        *,
        agent: str,
        max_waiting: int,
        resync_seconds: float,
        registry: set["Subscription"],
    ) -> None:
        if max_waiting < 1:
            raise ValueError("max_waiting must be at least 1")
        if not 0 < resync_seconds < inf:
            raise ValueError("resync_seconds must be a positive number of seconds")
        self._client = client
        self._bus = bus
        self._agent = agent
        self._pattern = parse_event_pattern(pattern)
        self._from_now = after is None
        self._inbox = Inbox(self._pattern, start_of(self._pattern.collection, after), max_waiting)
        self._resync_seconds = resync_seconds
        self._resync_at = self._compared_at = -inf
        self._registry = registry
        self._listener: Listener | None = None
        self._opening = False
        self._started = False
        self._heard_early = False
        self._work: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._closed = False
        self._news = asyncio.Event()

    @property
    def positions(self) -> Mapping[str, int]:
        """By collection: the sequence up to which every event was handed out, or not wanted.

        Stored once the last event handed out is done with, it is the `after` to go on from.
        """
        return self._inbox.positions

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChangeEvent:
        if not self._opening:
            await self._open()
        while not self._closed:
            self._look_after()
            event = self._inbox.take()
            if event is not None:
                return event
            if self._error is not None:
                error = self._error
                await self.aclose()
                raise error
            await self._wait_for_news()

        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End it: whoever waits for an event gets no more. Closing twice is harmless."""
        self._closed = True
        await self.end(None)

    async def end(self, error: Exception | None) -> None:
        """Hear nothing more; after what waits, iterating raises the error."""
        self._opening = True
        self._error = error
        self._registry.discard(self)
        self._news.set()
        work, self._work = self._work, None
        listener, self._listener = self._listener, None
        if work is not None:
            work.cancel()
        if listener is not None:
            await listener.close()

    async def _open(self) -> None:
        if self._opening:
            raise RuntimeError("A subscription is opened once; make another one")
        self._opening = True
        self._registry.add(self)
        try:
            self._started = not self._from_now
            binding = self._pattern.collection or "#"
            listener = await self._bus.listen(
                "changes", [binding], self._on_message, self._on_ready
            )
            if self not in self._registry:  # closed meanwhile
                await listener.close()
                return
            self._listener = listener
            if self._from_now:
                await self._begin_now()
        except asyncio.CancelledError:
            await self._unopen()
            raise
        except BaseException:
            await self.aclose()
            raise

    async def _unopen(self) -> None:
        """As if it had never been tried, so that it can be tried again; closed stays closed."""
        if self not in self._registry:
            return
        self._registry.discard(self)
        self._opening = self._heard_early = False
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close()

    async def _begin_now(self) -> None:
        """What is committed after this is heard or fetched; what was before is not."""
        self._resync_at = self._now() + self._resync_seconds
        response = await ask(self._client, self._agent, "storage_positions", {}, {})
        for position in positions_of(response):
            if self._inbox.wants(position.collection):
                self._inbox.follow(position.collection, position.sequence)
        if self._pattern.collection is not None:
            self._inbox.follow(self._pattern.collection)
        self._started = True
        if self._heard_early:
            self._resync_at = -inf

    def _on_ready(self) -> None:
        """What was announced until now may have been missed."""
        self._resync_at = -inf
        self._news.set()

    def _on_message(self, broadcast: Broadcast) -> None:
        collection = broadcast.routing_key
        if self._error is not None:
            return  # what still waits is the last there is
        if not self._started:
            self._heard_early = True  # the store will tell what that was
            return
        try:
            self._inbox.hear(collection, broadcast.body)
        except HoldfastError as error:
            _log.warning("Ignored a batch of events of %r: %s", collection, error)
        if self._inbox.uncertain:
            soon = self._compared_at + min(_SHORTEST_RESYNC, self._resync_seconds)
            self._resync_at = min(self._resync_at, soon)
        self._news.set()

    async def _wait_for_news(self) -> None:
        self._news.clear()
        try:
            # A comparison that is under way sets the next moment itself.
            async with asyncio.timeout_at(None if self._work else self._resync_at):
                await self._news.wait()
        except TimeoutError:
            pass

    def _look_after(self) -> None:
        """Let what is missing be fetched, while there is room for it."""
        if self._work or self._error or not self._started or not self._inbox.has_room:
            return
        if self._inbox.is_behind or self._now() >= self._resync_at:
            self._work = asyncio.get_running_loop().create_task(self._catch_up())

    async def _catch_up(self) -> None:
        try:
            if self._now() >= self._resync_at:
                await self._compare()
            for follow in self._inbox.behind:
                if self._inbox.has_room:
                    await self._fetch(follow)
        except Exception as error:  # noqa: BLE001 - raised to who iterates
            self._error = self._error or error
        finally:
            self._work = None
            self._news.set()

    async def _compare(self) -> None:
        # First, so that a connection made meanwhile asks for another comparison.
        self._compared_at = self._now()
        self._resync_at = self._compared_at + self._resync_seconds
        seen = self._inbox.begin_compare()
        positions = positions_of(await self._ask("storage_positions", {}))
        wanted = (position for position in positions if self._inbox.wants(position.collection))
        self._inbox.compare(seen, {position.collection: position.sequence for position in wanted})

    async def _fetch(self, follow: Follow) -> None:
        after = self._inbox.begin_fetch(follow)
        limit = self._inbox.page_limit(PAGE)
        payload = {"collection": follow.collection, "after": after, "limit": limit}
        try:
            response = await self._ask("storage_events", payload)
            self._inbox.end_fetch(follow, events_of(response), last_sequence_of(response))
        except NotFoundError as error:
            details = {**error.details, "collection": follow.collection}
            raise NotFoundError(error.message, details) from error

    async def _ask(self, action: str, payload: Mapping[str, object]) -> AgentResponse:
        """The answer, however long the agent is away."""
        failures = 0
        while True:
            try:
                response = await ask(self._client, self._agent, action, payload, {})
            except HoldfastError as error:
                if not error.retryable:
                    raise
                failures += 1
                if failures == 1:
                    _log.warning("A subscription waits for %s: %s", self._agent, error)
                asked = min(retry_after_of(error.details), _LONGEST_PAUSE)
                await asyncio.sleep(backoff(failures, spread(), asked))
            else:
                if failures:
                    _log.info("A subscription goes on after %d failures", failures)
                return response

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
