"""The runner: from deliveries of the bus to settled answers.

Natural batching: whatever arrived while the last batch ran is the next batch; no timer, no
added latency. The order of things is what makes a death at any await harmless: commit, then the
reply confirmed by the broker, then the ack. What dies in between is delivered again, and its
identity makes that a replay. With a journal, the ack waits for it too.

Answers are bounded like messages: a batch whose results could be large is executed in parts, and
the next part only once enough of the answers before it are confirmed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from pydantic import JsonValue

from holdfast_agents.logs import Logger, quiet_logger
from holdfast_protocol.bus.contract import Broadcast, Bus, Consumer, Delivery, Listener
from holdfast_protocol.codec import Batch, decode_messages
from holdfast_protocol.control import parse_control
from holdfast_protocol.errors import OverloadedError

from .agent import Agent
from .answers import Answer
from .executing import Execution, Recording
from .reply_address import is_allowed_reply_address
from .runner_limits import RunnerLimits
from .settling import Settler
from .side import SideQueue
from .sizing import RECORD_BYTES, counted_record, held_by, may_grow, weights_of
from .waiting import Budget, Portion, Received, Waiting

__all__ = ["Recording", "Runner", "RunnerLimits"]

_SLOW_PART = 4
_BYTES_LIKE_A_MESSAGE = 8 * 1024
_LARGE_BODY = 1024 * 1024
_BREATH_MESSAGES = 64
"""How many messages are decoded before others on the event loop get their turn."""

_OVERLOADED = "Too many slow reads wait already; ask again later"


class Runner:
    """Runs one agent on one bus until it is told to stop.

    Args:
        agent: answers the messages.
        bus: open; the caller closes it.
        journal: records every exchange; the caller opens and closes it.
    """

    def __init__(
        self,
        agent: Agent[Any],
        bus: Bus,
        *,
        limits: RunnerLimits | None = None,
        log: Logger | None = None,
        journal: Recording | None = None,
    ) -> None:
        self._agent = agent
        self._bus = bus
        self._unsettled = 0
        self._limits = limits if limits is not None else RunnerLimits()
        self._log = log if log is not None else quiet_logger()
        self._settler = Settler(
            agent.name, bus, self._log, response_bytes=self._limits.response_bytes
        )
        self._waiting = Waiting(self._limits.batch_messages, self._limits.batch_bytes)
        self._results = Budget(2 * self._limits.answer_bytes)
        self._record_bytes = RECORD_BYTES  # as it is counted before it is read
        self._stopping = asyncio.Event()
        self._execution = Execution(
            agent,
            self._log,
            journal,
            stopping=self._stopping,
            retry_seconds=self._limits.retry_seconds,
        )
        self._budget = Budget(self._limits.held_bytes)
        self._consumer: Consumer | None = None
        self._control: Listener | None = None
        self._spawn: Callable[[Coroutine[Any, Any, None]], object] = _not_running
        self._settling = asyncio.Semaphore(self._limits.unsettled_batches)
        self._side = SideQueue(self._limits.side_batches, self._limits.side_waiting)

    async def start(self) -> None:
        """Declare the agent's queue; from here on its messages are kept and delivered here.

        Raises:
            UnavailableError: the broker cannot be reached.
        """
        name, limits = self._agent.name, self._limits
        # Before the first message: its cancellation may come right behind it.
        self._control = await self._bus.listen("control", [f"{name}.#"], self._on_control)
        self._consumer = await self._bus.consume(
            name, prefetch=limits.prefetch, max_bytes=limits.taken_bytes
        )

    async def run(self) -> None:
        """Serve until `stop`; returns when everything taken is answered and settled."""
        if self._consumer is None:
            await self.start()
        consumer = self._consumer
        assert consumer is not None  # noqa: S101 — start has set it
        async with asyncio.TaskGroup() as group:
            self._spawn = group.create_task
            group.create_task(self._take(consumer))
            group.create_task(self._execute(consumer))
        if self._control is not None:
            await self._control.close()

    async def stop(self) -> None:
        """Take nothing more. `run` finishes what was taken and returns; it does not wait for a
        store that is away."""
        self._stopping.set()
        if self._consumer is not None:
            await self._consumer.cancel()

    @property
    def ready(self) -> bool:
        """Whether messages can arrive now."""
        return self._consumer is not None and self._consumer.connected

    @property
    def unsettled(self) -> int:
        """How many deliveries were taken and are not settled yet."""
        return self._unsettled

    # -- taking: while a batch waits for the store, the next one is decoded and checked ----------

    async def _take(self, consumer: Consumer) -> None:
        try:
            while deliveries := await consumer.receive():
                taken = 0
                for delivery in deliveries:
                    taken += await self._accept(consumer, delivery)
                    taken += len(delivery.body) // _BYTES_LIKE_A_MESSAGE
                    if taken >= _BREATH_MESSAGES:
                        taken = 0
                        await asyncio.sleep(0)
        finally:
            self._waiting.close()

    async def _accept(self, consumer: Consumer, delivery: Delivery) -> int:
        """Put a delivery where it will be executed; how many messages it holds."""
        if not self._may_answer(delivery):
            self._spawn(self._settler.reject(consumer, delivery))
            return 0
        await self._budget.take(len(delivery.body))
        batch = await _decoded(delivery)
        items = batch.items
        prepared = self._agent.prepare(items)
        slow: list[bool] = []
        weights = None
        if may_grow(items):  # what is slow answers much
            slow = [self._agent.is_slow(item) for item in items]
            weights = weights_of(prepared, slow)
        received = Received(delivery, batch.is_array, items, prepared, weights, alone=any(slow))
        self._unsettled += 1
        if all(isinstance(item, Answer) for item in prepared):
            # Nothing to execute: a ping is answered also while the store is waited for.
            self._spawn(self._run_in_parts(consumer, received))
        elif slow and all(slow):
            self._run_or_refuse(consumer, received)
        else:
            await self._waiting.put(received)
        return len(items)

    def _may_answer(self, delivery: Delivery) -> bool:
        address = delivery.reply_to
        return address is None or is_allowed_reply_address(address, self._bus.namespace)

    # -- executing -----------------------------------------------------------------------------

    async def _execute(self, consumer: Consumer) -> None:
        while batch := await self._waiting.take(self._most_records):
            await self._run_batch(consumer, batch)

    def _most_records(self) -> int:
        """How many may be read by one batch."""
        return self._limits.answer_bytes // self._record_bytes

    def _run_or_refuse(self, consumer: Consumer, received: Received) -> None:
        if self._side.admit():
            self._spawn(self._run_beside(consumer, received))
            return
        details: dict[str, JsonValue] = {"retry_after_seconds": self._side.retry_after}
        self._spawn(self._refuse(consumer, received, OverloadedError(_OVERLOADED, details)))

    async def _refuse(self, consumer: Consumer, received: Received, error: OverloadedError) -> None:
        answers = self._agent.give_up(received.prepared, error)
        self._execution.outcomes.tell(received.items, answers, 0.0)
        whole = Portion(received, 0, len(answers))
        delivered = await self._settler.deliver(whole, answers)
        await self._settle(consumer, [whole], [delivered])

    async def _run_beside(self, consumer: Consumer, received: Received) -> None:
        async with self._side.turn():
            await self._run_in_parts(consumer, received)

    async def _run_in_parts(self, consumer: Consumer, received: Received) -> None:
        """Execute and answer a few messages at a time, so that not all answers are held."""
        count = len(received.items)
        for start in range(0, count, _SLOW_PART):
            portion = Portion(received, start, min(start + _SLOW_PART, count))
            answers, kept = await self._execution.of([portion])
            delivered = await self._settler.deliver(portion, answers)
            delivered = await _is_kept(kept) and delivered
            await self._settle(consumer, [portion], [delivered])

    async def _run_batch(self, consumer: Consumer, batch: list[Portion]) -> None:
        """Execute, then answer in a task of its own, so that the next batch need not wait; but
        where it may answer much, not before there is room for that."""
        records = sum(one.weight for one in batch if one.received.weights is not None)
        weight = records * self._record_bytes
        if weight:
            await self._results.take(weight)
        answers, kept = await self._execution.of(batch)
        held = 0
        if weight:
            held = held_by(answers)
            self._record_bytes = counted_record(held, len(answers))
            self._results.give_back(weight - held)
        await self._settling.acquire()
        self._spawn(self._answer_batch(consumer, batch, answers, kept, held))

    async def _answer_batch(
        self,
        consumer: Consumer,
        batch: list[Portion],
        answers: list[Answer],
        kept: Awaitable[bool] | None,
        held: int,
    ) -> None:
        try:
            # Of many large answers only a few are to be held twice.
            at_once = held <= self._limits.response_bytes
            waits = []
            position = 0
            for portion in batch:
                end = position + portion.end - portion.start
                waits.append(self._settler.deliver(portion, answers[position:end], at_once=at_once))
                position = end
            delivered = await asyncio.gather(*waits)
            if not await _is_kept(kept):
                delivered = [False] * len(batch)
        finally:
            self._settling.release()
        await self._settle(consumer, batch, delivered)
        self._results.give_back(held)  # only now: until here the answers were in hand

    def _on_control(self, broadcast: Broadcast) -> None:
        control = parse_control(broadcast.body, broadcast.user_id)
        if control is not None:
            self._agent.cancellations.add(control)

    async def _settle(
        self, consumer: Consumer, batch: Sequence[Portion], delivered: Sequence[bool]
    ) -> None:
        """Settle the deliveries of which these were the last messages to be answered."""
        done = [
            received
            for (received, start, end), is_delivered in zip(batch, delivered, strict=True)
            if received.answered(end - start, is_delivered=is_delivered)
        ]
        self._unsettled -= len(done)
        self._budget.give_back(sum(len(received.delivery.body) for received in done))
        await self._settler.settle(
            consumer,
            [received.delivery for received in done],
            [received.is_delivered for received in done],
        )


async def _decoded(delivery: Delivery) -> Batch:
    """The messages of a delivery; a large body is decoded beside the event loop, which has
    heartbeats to answer."""
    decode = partial(
        decode_messages,
        delivery.body,
        default_id=delivery.message_id,
        user_id=delivery.user_id,
    )
    return await asyncio.to_thread(decode) if len(delivery.body) > _LARGE_BODY else decode()


async def _is_kept(kept: Awaitable[bool] | None) -> bool:
    return kept is None or await kept


def _not_running(work: Coroutine[Any, Any, None]) -> object:
    work.close()
    raise RuntimeError("the runner does not run")
