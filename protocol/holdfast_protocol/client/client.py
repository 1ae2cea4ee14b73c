"""The client of a Holdfast system: asks agents, and gets their answers."""

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self, Unpack

from holdfast_protocol.actions import Description, Pong, Statistics
from holdfast_protocol.bus.contract import Announcement, Bus
from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.client.answers import M, parsed
from holdfast_protocol.client.composing import CallOptions, Composer
from holdfast_protocol.client.dead_letters import DeadLettersClient
from holdfast_protocol.client.exchange import Bounds, Exchange
from holdfast_protocol.client.held_lock import Lease
from holdfast_protocol.client.locking import LocksClient
from holdfast_protocol.client.locks import LockContext
from holdfast_protocol.client.pending import Counters
from holdfast_protocol.client.session import Session
from holdfast_protocol.client.storage import StorageClient
from holdfast_protocol.client.subscription import RESYNC_SECONDS, Subscription
from holdfast_protocol.control import cancel_body, cancel_key
from holdfast_protocol.errors import InternalError
from holdfast_protocol.limits import MAX_MESSAGE_BYTES
from holdfast_protocol.messages import AgentResponse

MAX_BATCH: Final = 64
MAX_PENDING: Final = 10_000
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
MAX_WAITING_EVENTS: Final = 10_000
_LONGEST_BUS_WAIT: Final = 10.0


class AgentClient:
    """Sends messages to agents and waits for their answers. An async context manager.

        async with AgentClient("amqp://localhost", sender="planner") as client:
            response = await client.request("storage", "storage_get", {"task_id": 7})

    It belongs to the event loop it was entered on, and serves any number of tasks there.
    Messages to the same agent that are requested in the same moment travel as one.

    Args:
        url: `memory://`, `memory://name` or `amqp(s)://…`; the client opens and closes the bus.
        sender: who sends, 1 to 128 characters; part of the identity of every write.
        bus: an open bus to use instead of a URL; it stays open when the client is left.
        namespace: the prefix of every broker object; with `bus`, the bus decides.
        timeout: seconds that a request may take, all its attempts together; opening too.
        retry: whether to send again, always under the same message id: when no answer came
            for a while, after a reconnect, and when the answer was `unavailable`,
            `overloaded` or `rate_limited`.
        max_batch: how many messages one AMQP message holds at most, 1 to 1,000. Smaller ones
            let client, broker, agent and backend work at the same time.
        max_pending, max_pending_bytes: how much is under way at most; more waits.
        max_message_bytes: the size of one encoded message that is refused before sending.

    Raises:
        ValueError: an argument is wrong.
    """

    def __init__(
        self,
        url: str | None = None,
        sender: str | None = None,
        *,
        bus: Bus | None = None,
        namespace: str = "holdfast",
        timeout: float = 30.0,
        retry: bool = True,
        max_batch: int = MAX_BATCH,
        max_pending: int = MAX_PENDING,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._composer = Composer(sender, timeout, max_message_bytes)
        # Made here already, so that a wrong URL is told where it was written.
        used = _bus_for(url, bus, namespace, timeout)
        bounds = Bounds(max_pending, max_pending_bytes, max_batch)
        self._session = Session(used, bounds, owns_bus=bus is None, retry=retry)
        self._storage = StorageClient(self)
        self._locks = LocksClient(self)
        self._dead_letters = DeadLettersClient(self)

    @property
    def sender(self) -> str | None:
        """Who sends."""
        return self._composer.sender

    @property
    def storage(self) -> StorageClient:
        """The storage agent's actions as typed methods."""
        return self._storage

    @property
    def locks(self) -> LocksClient:
        """The lock actions as typed methods; `lock` is what most want."""
        return self._locks

    @property
    def dead_letters(self) -> DeadLettersClient:
        """What could not be processed: to be seen, sent again, removed."""
        return self._dead_letters

    @property
    def counters(self) -> Counters:
        """What this client has done since it was entered. Raises BusClosedError before."""
        return self._opened.counters

    async def request(
        self,
        recipient: str,
        action: str,
        payload: Mapping[str, object] | None = None,
        **options: Unpack[CallOptions],
    ) -> AgentResponse:
        """Ask an agent. An answered error is returned too: see `AgentResponse.raise_for_error`.

        For `options` see `CallOptions`. What is given is encoded before this first waits, so
        it may be changed afterwards. A cancelled request may still be executed.

        Raises:
            ValidationError: an argument is wrong, or the payload is no JSON.
            TooLargeError: the encoded message is over `max_message_bytes`.
            NoRouteError: nobody is bound to the recipient; nothing was delivered.
            RequestTimeoutError: no answer in time. The outcome is unknown unless
                `details.attempts` is 0; sending `details.message_id` again is safe.
            UnavailableError: the broker did not confirm, and the client does not retry.
            BusClosedError: the client is not open, or was left while this waited.
        """
        exchange = self._opened
        item = self._composer.compose(recipient, action, payload, options, wants_reply=True)
        response = await exchange.carry(item)
        if response is None:
            raise InternalError("The request ended without an answer")
        return response

    async def send(
        self,
        recipient: str,
        action: str,
        payload: Mapping[str, object] | None = None,
        **options: Unpack[CallOptions],
    ) -> str:
        """Tell an agent something, without an answer. Returns the message id.

        Returns when the broker has taken responsibility for the message. Options and errors
        are those of `request`; the timeout is that of the broker's confirm.
        """
        exchange = self._opened
        item = self._composer.compose(recipient, action, payload, options, wants_reply=False)
        await exchange.carry(item)
        return item.message.id

    async def cancel(
        self, message_id: str, *, agent: str = "storage", sender: str | None = None
    ) -> bool:
        """Ask an agent not to execute a message; its own sender is the client's by default.

        Returns when the broker has it: whether any process of that agent is there to hear it.
        The request then ends in its own way: with CancelledRequestError, when the message was
        not committed yet, and that is final; else as it would have, where `meta.cancel` is
        `"too_late"` when the cancellation came before the answer. It may also not be heard in
        time, and change nothing.

        Raises:
            ValidationError: no message can have that id or sender.
            UnavailableError: the broker did not confirm.
            BusClosedError: the client is not open.
        """
        _ = self._opened
        body = cancel_body(message_id, self.sender if sender is None else sender)
        (heard,) = await self._session.bus.announce(
            [Announcement("control", cancel_key(agent), body)]
        )
        return heard

    def subscribe(
        self,
        pattern: str = "#",
        *,
        after: int | Mapping[str, int] | None = None,
        agent: str = "storage",
        max_waiting: int = MAX_WAITING_EVENTS,
        resync_seconds: float = RESYNC_SECONDS,
    ) -> Subscription:
        """Every change of the records, as events; see `Subscription` for how to use it.

        Args:
            pattern: `<collection>.<created|updated|deleted>`, with `*` for any of either;
                `tasks.#` is `tasks.*`, and `#` everything.
            after: begin with the event after this sequence of the one collection; or, by
                collection, after those of a mapping (what it does not name is followed from
                its first event). By default with what is committed once it is entered.
            agent: who keeps the records.
            max_waiting: how many events wait in memory at most (and 16 MiB); what is more
                waits in the store.
            resync_seconds: how often to look for events that were not heard.

        Raises:
            ValidationError: the pattern, or `after`, is none.
            ValueError: a bound is none.
            BusClosedError: the client is not open.
        """
        _ = self._opened
        return Subscription(
            self,
            self._session.bus,
            pattern,
            after,
            agent=agent,
            max_waiting=max_waiting,
            resync_seconds=resync_seconds,
            registry=self._session.subscriptions,
        )

    def lock(
        self,
        name: str,
        *,
        lease_seconds: float = 30.0,
        wait: float | None = None,
        owner: str | None = None,
        renew: bool = True,
        agent: str = "storage",
    ) -> LockContext:
        """Hold a lock for a while: one process at a time, in the whole system.

            async with client.lock("deploy") as held:
                await client.storage.save(task, fence=held.fence)

        Args:
            name: 1 to 255 characters.
            lease_seconds: how long the lock outlives a holder that died; above 0, at most
                86,400. It is renewed in the background, every third of that, unless `renew`
                is false.
            wait: seconds to wait while somebody else holds it, 0 to try once; by default the
                client's timeout. Each request takes at most the client's timeout besides.
            owner: who holds it, for people to read; by default the sender.

        Entering raises ConflictError when somebody else holds it all the time, and leaving it
        when the lock was lost meanwhile. Raises ValueError for a wait that is none.
        """
        locks = self._locks if agent == "storage" else LocksClient(self, agent)
        patience = self._composer.timeout if wait is None else wait
        return LockContext(
            locks, self._session.background, Lease(name, lease_seconds, owner, renew), patience
        )

    async def ping(self, agent: str, **options: Unpack[CallOptions]) -> Pong:
        """Whether an agent is there. Raises what `request` raises, and an answered error."""
        return await self._asked(Pong, agent, "agent_ping", options)

    async def describe(self, agent: str, **options: Unpack[CallOptions]) -> Description:
        """An agent's actions with their JSON Schemas. Raises as `ping`."""
        return await self._asked(Description, agent, "agent_describe", options)

    async def stats(self, agent: str, **options: Unpack[CallOptions]) -> Statistics:
        """An agent's counters since its process began. Raises as `ping`."""
        return await self._asked(Statistics, agent, "agent_stats", options)

    async def _asked(self, model: type[M], agent: str, action: str, options: CallOptions) -> M:
        response = await self.request(agent, action, **options)
        response.raise_for_error()
        return parsed(model, response.result)

    async def __aenter__(self) -> Self:
        """Open the bus and the reply address.

        Raises:
            UnavailableError: the broker cannot be reached.
            RuntimeError: the client was entered before.
        """
        await self._session.open(self.sender)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Requests that still wait fail with BusClosedError."""
        await self._session.close()

    @property
    def _opened(self) -> Exchange:
        return self._session.exchange


def _bus_for(url: str | None, bus: Bus | None, namespace: str, timeout: float) -> Bus:
    if url is not None and bus is None:
        wait = min(timeout, _LONGEST_BUS_WAIT)
        return open_bus(url, namespace=namespace, operation_timeout=wait)
    if bus is not None and url is None:
        return bus
    raise ValueError("Give either a URL or an open bus")
