"""The runner: from deliveries of the bus to settled answers.

Natural batching: whatever arrived while the last batch ran is the next batch; no timer, no
added latency. The order of things is what makes a death at any await harmless: commit, then the
reply confirmed by the broker, then the ack. What dies in between is delivered again, and its
identity makes that a replay.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, TypeAlias

import orjson
import stamina

from holdfast_agents.logs import Logger, quiet_logger
from holdfast_protocol.bus.contract import Bus, Consumer, Delivery
from holdfast_protocol.codec import Batch, Refusal, decode_messages, encode_replies, split_replies
from holdfast_protocol.errors import HoldfastError, UnavailableError
from holdfast_protocol.limits import MAX_RESPONSE_BYTES
from holdfast_protocol.messages import AgentMessage

from .agent import Agent, TransientError
from .answers import Answer
from .outcomes_log import OutcomeLog
from .reply_address import is_allowed_reply_address

_ENVELOPE_ROOM = 1024 * 1024
_SLOW_PART = 4
_UNDONE = frozenset({"internal_error", "storage_error", "unavailable"})
"""Failures that are not the sender's: with nobody to tell, they are kept for the operator."""

Observer: TypeAlias = Callable[[str, Sequence[AgentMessage | Refusal], Sequence[Answer]], None]
"""Called with the agent's name, the items of a batch and their answers, in the order of their
execution: after the commit, before anything is replied. What it raises ends the service."""


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """How much a runner takes at once.

    Args:
        prefetch: deliveries that may be unsettled in this process.
        batch_messages: messages of one batch; a delivery is never split.
        batch_bytes: bodies of one batch, likewise.
        side_batches: slow reads (lists, queries) that run beside the batches.
        unsettled_batches: batches whose replies may still wait for the broker's confirm.
        retry_seconds: how long a batch waits for a store that cannot be reached.
        response_bytes: of one AMQP message that answers an array.
    """

    prefetch: int = 500
    batch_messages: int = 1_000
    batch_bytes: int = 16 * 1024 * 1024
    side_batches: int = 4
    unsettled_batches: int = 4
    retry_seconds: float = 30.0
    response_bytes: int = MAX_RESPONSE_BYTES


@dataclass(frozen=True, slots=True)
class _Received:
    """A delivery, decoded."""

    delivery: Delivery
    batch: Batch


class Runner:
    """Runs one agent on one bus until it is told to stop.

    Args:
        agent: answers the messages.
        bus: open; the caller closes it.
        observer: is told of every batch that was executed.
    """

    def __init__(
        self,
        agent: Agent[Any],
        bus: Bus,
        *,
        limits: RunnerLimits | None = None,
        log: Logger | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._agent = agent
        self._bus = bus
        self._observer = observer
        self._unsettled = 0
        self._limits = limits if limits is not None else RunnerLimits()
        self._log = log if log is not None else quiet_logger()
        self._outcomes = OutcomeLog(self._log, agent.name)
        self._consumer: Consumer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling = asyncio.Semaphore(self._limits.unsettled_batches)
        self._beside = asyncio.Semaphore(self._limits.side_batches)

    async def start(self) -> None:
        """Declare the agent's queue; from here on its messages are kept and delivered here.

        Raises:
            UnavailableError: the broker cannot be reached.
        """
        self._consumer = await self._bus.consume(self._agent.name, prefetch=self._limits.prefetch)

    async def run(self) -> None:
        """Serve until `stop`; returns when everything taken is answered and settled."""
        if self._consumer is None:
            await self.start()
        consumer = self._consumer
        assert consumer is not None  # noqa: S101 — start has set it
        try:
            while deliveries := await consumer.receive():
                await self._take(consumer, deliveries)
        finally:
            await self._finish()

    async def stop(self) -> None:
        """Take nothing more. `run` finishes what was taken and returns."""
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

    # -- taking --------------------------------------------------------------------------------

    async def _take(self, consumer: Consumer, deliveries: Sequence[Delivery]) -> None:
        gathered: list[_Received] = []
        messages = size = 0
        for delivery in deliveries:
            if not self._may_answer(delivery):
                self._spawn(self._reject(consumer, delivery))
                continue
            received = self._decoded(delivery)
            self._unsettled += 1
            slow = [self._agent.is_slow(item) for item in received.batch.items]
            if all(slow):
                self._spawn(self._run_beside(consumer, received))
            elif any(slow):
                # Its order matters, and its answers may be large: by itself, in small parts.
                await self._run_batch(consumer, gathered)
                await self._run_in_parts(consumer, received)
                gathered, messages, size = [], 0, 0
            else:
                gathered.append(received)
                messages += len(slow)
                size += len(delivery.body)
            if messages >= self._limits.batch_messages or size >= self._limits.batch_bytes:
                await self._run_batch(consumer, gathered)
                gathered, messages, size = [], 0, 0
        await self._run_batch(consumer, gathered)

    def _decoded(self, delivery: Delivery) -> _Received:
        batch = decode_messages(
            delivery.body, default_id=delivery.message_id, user_id=delivery.user_id
        )
        return _Received(delivery, batch)

    async def _run_beside(self, consumer: Consumer, received: _Received) -> None:
        async with self._beside:
            await self._run_in_parts(consumer, received)

    async def _run_in_parts(self, consumer: Consumer, received: _Received) -> None:
        """Execute and answer a few messages at a time, so that not all answers are held."""
        items = received.batch.items
        delivered = True
        for start in range(0, len(items), _SLOW_PART):
            part = items[start : start + _SLOW_PART]
            answers = await self._executed(part)
            delivered = delivered and await self._deliver(received, answers, start)
        await self._settle(consumer, [received.delivery], [delivered])

    async def _run_batch(self, consumer: Consumer, received: list[_Received]) -> None:
        """Execute, then answer in a task of its own, so that the next batch need not wait."""
        if not received:
            return
        items = [item for one in received for item in one.batch.items]
        answers = await self._executed(items)
        await self._settling.acquire()
        self._spawn(self._answer_batch(consumer, received, answers))

    async def _executed(self, items: list[AgentMessage | Refusal]) -> list[Answer]:
        started = monotonic()
        answers = await self._answered(items)
        self._outcomes.tell(items, answers, monotonic() - started)
        if self._observer is not None:
            self._observer(self._agent.name, items, answers)
        return answers

    def _may_answer(self, delivery: Delivery) -> bool:
        address = delivery.reply_to
        return address is None or is_allowed_reply_address(address, self._bus.namespace)

    async def _answered(self, items: list[AgentMessage | Refusal]) -> list[Answer]:
        """The answers; a store that cannot be reached is waited for, the queue waiting too."""
        try:
            retries = stamina.retry_context(
                on=TransientError,
                attempts=None,
                timeout=self._limits.retry_seconds,
                wait_initial=0.05,
                wait_max=2.0,
            )
            async for attempt in retries:
                with attempt:
                    return await self._agent.answer(items)
        except TransientError as transient:
            return self._agent.give_up(items, transient.error)
        raise RuntimeError("a retry loop ends in an answer or an error")

    # -- settling ------------------------------------------------------------------------------

    async def _answer_batch(
        self, consumer: Consumer, received: list[_Received], answers: list[Answer]
    ) -> None:
        try:
            waits = []
            position = 0
            for one in received:
                count = len(one.batch.items)
                waits.append(self._deliver(one, answers[position : position + count]))
                position += count
            delivered = await asyncio.gather(*waits)
            await self._settle(consumer, [one.delivery for one in received], delivered)
        finally:
            self._settling.release()

    async def _settle(
        self, consumer: Consumer, deliveries: Sequence[Delivery], delivered: Sequence[bool]
    ) -> None:
        """Ack what led to all it had to; what did not comes again, and is replayed."""
        self._unsettled -= len(deliveries)
        pairs = list(zip(deliveries, delivered, strict=True))
        if done := [delivery for delivery, is_done in pairs if is_done]:
            await consumer.ack(done)
        if failed := [delivery for delivery, is_done in pairs if not is_done]:
            await consumer.requeue(failed)

    async def _deliver(
        self, received: _Received, answers: Sequence[Answer], start: int = 0
    ) -> bool:
        """Whether the broker has taken all that these answers lead to; the first of them
        answers the message at `start`."""
        delivery = received.delivery
        try:
            if delivery.reply_to is not None:
                for body in self._bodies(received, answers):
                    await self._bus.reply(delivery.reply_to, body, delivery.correlation_id)
                return True
            for index, answer in enumerate(answers, start):
                if answer.refused or answer.reply.error_type in _UNDONE:
                    await self._bury(_part(received, index), answer)
        except HoldfastError as error:
            self._log.warning("reply not confirmed", agent=self._agent.name, error=str(error))
            return False
        return True

    def _bodies(self, received: _Received, answers: Sequence[Answer]) -> list[bytes]:
        replies = [answer.reply for answer in answers]
        if not received.batch.is_array:
            return [encode_replies(replies, as_array=False)]
        return split_replies(replies, self._limits.response_bytes + _ENVELOPE_ROOM)

    async def _bury(self, delivery: Delivery, answer: Answer) -> None:
        reply = answer.reply
        await self._bus.dead_letter(
            delivery,
            reason=reply.error_type or "internal_error",
            error=reply.error or "",
            agent=self._agent.name,
        )

    async def _reject(self, consumer: Consumer, delivery: Delivery) -> None:
        """A message that asks to be answered into somebody else's queue."""
        try:
            await self._bus.dead_letter(
                delivery,
                reason="forbidden_reply_to",
                error="replies go to reply queues only",
                agent=self._agent.name,
            )
        except UnavailableError:
            await consumer.requeue([delivery])
            return
        self._log.warning("forbidden reply_to", agent=self._agent.name)
        await consumer.ack([delivery])

    # -- tasks ---------------------------------------------------------------------------------

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("settling failed", agent=self._agent.name, exc_info=error)

    async def _finish(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)


def _part(received: _Received, index: int) -> Delivery:
    """The delivery with only one message of its array, where that can be told apart."""
    delivery = received.delivery
    if not received.batch.is_array or len(received.batch.items) == 1:
        return delivery
    try:
        body = orjson.dumps(orjson.loads(delivery.body)[index])
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return delivery
    return replace(delivery, body=body)
