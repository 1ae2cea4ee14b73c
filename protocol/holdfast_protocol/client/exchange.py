"""Messages out, answers in: what is under way, sent again when needed, given up in time."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Final

from holdfast_protocol.bus.contract import Bus, Publication, ReplyAddress
from holdfast_protocol.client.coalescing import Coalescer, body_of
from holdfast_protocol.client.outgoing import Outgoing, Shipment
from holdfast_protocol.client.pending import Counters, Pending
from holdfast_protocol.client.retrying import (
    INTERVAL_GROWTH,
    RETRYABLE,
    backoff,
    retry_after_of,
)
from holdfast_protocol.client.room import Room
from holdfast_protocol.client.sweeping import GRANULARITY, Sweeper
from holdfast_protocol.errors import (
    BusClosedError,
    HoldfastError,
    InternalError,
    NoRouteError,
    OverloadedError,
    RequestTimeoutError,
    UnavailableError,
)
from holdfast_protocol.limits import MAX_MESSAGES
from holdfast_protocol.messages import AgentResponse

_log = logging.getLogger("holdfast.client")

DEADLINE_GRACE: Final = 1.0
"""Seconds after a deadline in which an agent can still answer `expired`, before the broker
drops the message."""
_POLL: Final = 0.25
"""Seconds between two looks at the reply address's generation, while something is pending."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is under way at most, and how many messages one AMQP message holds.

    Raises ValueError for bounds that cannot be kept.
    """

    max_pending: int
    max_pending_bytes: int
    max_batch: int

    def __post_init__(self) -> None:
        if self.max_pending < 1 or self.max_pending_bytes < 1:
            raise ValueError("max_pending and max_pending_bytes must be at least 1")
        if not 1 <= self.max_batch <= MAX_MESSAGES:
            raise ValueError(f"max_batch must be within 1 and {MAX_MESSAGES}")


class Exchange:
    """One client's traffic over one open bus."""

    def __init__(self, bus: Bus, bounds: Bounds, *, retry: bool) -> None:
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._retry = retry
        self.counters = Counters()
        self._pending = Pending(self.counters, self._postpone)
        self._room = Room(bounds.max_pending, bounds.max_pending_bytes)
        self._coalescer = Coalescer(self._loop, self._dispatch, bounds.max_batch)
        self._sweeper = Sweeper(self._loop, self._sweep)
        self._address: ReplyAddress | None = None
        self._publishing: set[asyncio.Task[None]] = set()
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)
        self._closed = False

    async def open(self, sender: str) -> None:
        """Declare the reply address. Raises UnavailableError or BusClosedError."""
        self._address = await self._bus.open_reply_address(sender, self._pending.on_reply)

    async def carry(self, item: Outgoing) -> AgentResponse | None:
        """Send and wait for the answer; without one, for the broker's confirm (None)."""
        size = len(item.body)
        if self._closed or not self._room.try_enter(size):
            await self._wait_for(self._room.enter(size), item)
        try:
            if self._pending.holds(item.message.id):
                await self._wait_for(self._pending.vacated(item.message.id), item)
            self._pending.add(item)
            self._sweeper.wake_by(self._loop.time() + min(_POLL, item.interval))
            self._send(item)
            return await item.future
        finally:
            self._pending.discard(item)
            self._room.leave(size)

    async def close(self) -> None:
        """Whoever waits gets a BusClosedError. Not to be used again."""
        self._closed = True
        self._sweeper.close()
        self._coalescer.close()
        self._room.close()
        for item in self._pending:
            item.fail(_closed_while_waiting(item))
        publishing = tuple(self._publishing)
        for task in publishing:
            task.cancel()
        if publishing:
            await asyncio.wait(publishing)

    async def _wait_for(self, turn: Awaitable[None], item: Outgoing) -> None:
        try:
            async with asyncio.timeout_at(item.expires_at):
                await turn
        except TimeoutError:
            self.counters.timed_out += 1
            raise RequestTimeoutError(
                "Too much was under way before this message; it was not sent",
                {"message_id": item.message.id, "attempts": 0},
            ) from None
        if self._closed:
            raise BusClosedError("The client was closed; the message was not sent")

    def _send(self, item: Outgoing) -> None:
        item.shipment, item.retry_at = None, inf
        item.attempts += 1
        self.counters.messages += 1
        self._coalescer.add(item)

    def _resend(self, item: Outgoing) -> None:
        self.counters.resent += 1
        item.interval *= INTERVAL_GROWTH
        self._send(item)

    def _dispatch(self, items: Sequence[Outgoing]) -> None:
        wanted = [item for item in items if not item.future.done()]
        if wanted:
            task = self._loop.create_task(self._publish(wanted))
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)

    async def _publish(self, items: list[Outgoing]) -> None:
        shipment = self._ship(items)
        began_at = self._loop.time()
        try:
            await self._bus.publish(self._publication(items, shipment))
        except (NoRouteError, OverloadedError, UnavailableError) as error:
            self._not_published(items, shipment, error, self._loop.time() - began_at)
        except HoldfastError as error:
            for item in items:
                item.fail(type(error)(error.message, error.details), error)
        except Exception as error:  # noqa: BLE001 - logged, and told to those who wait
            _log.exception("Publishing %d messages failed unexpectedly", len(items))
            for item in items:
                item.fail(InternalError("Publishing failed unexpectedly"), error)
        else:
            shipment.confirmed_at = self._loop.time()
            for item in items:
                item.reached = True
            if not items[0].wants_reply:
                _confirm(items)

    def _ship(self, items: list[Outgoing]) -> Shipment:
        shipment = Shipment(
            f"{self._prefix}-{next(self._numbers):x}",
            frozenset([item.message.id for item in items]),
            self._reply_address.generation,
        )
        for item in items:
            item.shipment = shipment
        self._pending.shipped(shipment)
        self.counters.published += 1
        return shipment

    def _publication(self, items: list[Outgoing], shipment: Shipment) -> Publication:
        first = items[0]
        drop_at = max(item.deadline_at for item in items) + DEADLINE_GRACE
        return Publication(
            f"{first.recipient}.{first.message.action}",
            body_of(items),
            shipment.correlation_id,
            self._reply_address.address if first.wants_reply else None,
            None if drop_at == inf else max(DEADLINE_GRACE, drop_at - self._loop.time()),
        )

    def _not_published(
        self, items: list[Outgoing], shipment: Shipment, error: HoldfastError, took: float
    ) -> None:
        """`took` is how many seconds the bus tried."""
        for item in items:
            if item.shipment is not shipment:
                continue  # answered meanwhile, and waiting for its next attempt
            item.reached |= isinstance(error, UnavailableError)
            delay = backoff(item.attempts, shipment.spread, retry_after_of(error.details))
            if self._retry and self._may_pass(item, error, delay + took):
                item.failure = error
                self._retry_in(delay, item)
            else:
                item.fail(type(error)(error.message, error.details), error)

    def _may_pass(self, item: Outgoing, error: HoldfastError, seconds: float) -> bool:
        """Whether to wait on after a publish that failed; another one would take so long."""
        if item.reached:
            return True  # a queue that is gone or full only now tells nothing about before
        # An attempt that the timeout cuts short would leave unknown what is known now.
        last_moment = min(item.expires_at, item.deadline_at)
        return isinstance(error, OverloadedError) and self._loop.time() + seconds < last_moment

    def _postpone(self, item: Outgoing, response: AgentResponse) -> bool:
        """Whether to wait on after this error, instead of handing it out."""
        if not self._retry:
            return False
        if response.error_type == "expired":
            # The agent never saw an earlier attempt, or answered it and that was lost: only
            # the first attempt's `expired` proves that nothing was done.
            return item.attempts > 1
        if response.error_type not in RETRYABLE:
            return False
        if item.shipment is None:
            return True  # a late answer to an earlier attempt; the next one is coming anyway
        delay = backoff(item.attempts, item.shipment.spread, retry_after_of(response.details))
        if self._loop.time() + delay >= min(item.expires_at, item.deadline_at):
            return False
        self._retry_in(delay, item)
        return True

    def _retry_in(self, delay: float, item: Outgoing) -> None:
        item.shipment = None
        item.retry_at = self._loop.time() + delay
        self._sweeper.wake_by(item.retry_at)

    def _sweep(self, now: float) -> float:
        generation = self._reply_address.generation
        next_moment = now + _POLL if self._pending else inf
        for item in self._pending:
            if item.future.done():
                continue
            due_at = self._due_at(item, now, generation)
            if now >= item.expires_at:
                self._give_up(item)
            elif now + GRANULARITY >= due_at:
                self._resend(item)
                next_moment = min(next_moment, item.expires_at)
            else:
                next_moment = min(next_moment, item.expires_at, due_at)
        return next_moment

    def _due_at(self, item: Outgoing, now: float, generation: int) -> float:
        """When to send the message again; infinite for not at all."""
        if not self._retry or now >= item.deadline_at:
            # Past its deadline it would be answered `expired`, whatever became of it before.
            return inf
        return item.due_at(generation)

    def _give_up(self, item: Outgoing) -> None:
        self.counters.timed_out += 1
        error = RequestTimeoutError(
            "No answer in time: the outcome is unknown; "
            "sending the same message again with the same id is safe",
            {"message_id": item.message.id, "attempts": item.attempts},
        )
        item.fail(error, item.failure)

    @property
    def _reply_address(self) -> ReplyAddress:
        if self._address is None:
            raise BusClosedError("The client is not open")
        return self._address


def _confirm(items: Sequence[Outgoing]) -> None:
    for item in items:
        if not item.future.done():
            item.future.set_result(None)


def _closed_while_waiting(item: Outgoing) -> BusClosedError:
    return BusClosedError(
        "The client was closed before the answer came; the outcome is unknown",
        {"message_id": item.message.id, "attempts": item.attempts},
    )
