"""An agent for the client's tests: it reads with the codec, and answers what a script says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from pydantic import JsonValue

from holdfast_protocol.bus.contract import Bus, Consumer, Delivery
from holdfast_protocol.codec import Refusal, decode_messages, encode_replies
from holdfast_protocol.errors import UnavailableError
from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.replies import Reply

Answer: TypeAlias = Callable[[AgentMessage], Reply]
Script: TypeAlias = Callable[["Received"], Sequence[bytes]]


TIMES: dict[str, JsonValue] = {
    "version": 3,
    "created_at": "2026-01-02T03:04:05.000006Z",
    "updated_at": "2026-01-02T03:04:06Z",
}
"""The facts about some record."""


class Received:
    """One AMQP message, read, and the moment at which it came."""

    def __init__(self, delivery: Delivery, moment: float) -> None:
        self.delivery = delivery
        self.moment = moment
        batch = decode_messages(delivery.body)
        self.is_array = batch.is_array
        self.messages = [_honest(item) for item in batch.items]

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages]

    def answered(self, answer: Answer) -> bytes:
        """One body with all answers, as the contract has it."""
        return encode_replies([answer(m) for m in self.messages], as_array=self.is_array)


def _honest(item: AgentMessage | Refusal) -> AgentMessage:
    assert isinstance(item, AgentMessage), f"the client sent what is refused: {item}"
    return item


def echo(message: AgentMessage) -> Reply:
    """Success, with the payload as the result."""
    return Reply.success(message, "storage", message.payload)


def failing(error_type: str, details: dict[str, JsonValue] | None = None) -> Script:
    """The same error for everything."""
    return lambda received: [
        received.answered(lambda m: Reply.failure(m, "storage", error_type, "No.", details))
    ]


def answering(answer: Answer = echo) -> Script:
    """Every message its answer, in one body."""
    return lambda received: [received.answered(answer)]


def giving(result: JsonValue, meta: dict[str, JsonValue] | None = None) -> Script:
    """The same success for everything."""
    return answering(lambda message: Reply.success(message, "storage", result, meta or {}))


def silent(received: Received) -> Sequence[bytes]:
    """No answer at all."""
    return []


class Responder:
    """One agent process. Each delivery takes the next script; the last one stays."""

    def __init__(self, bus: Bus, consumer: Consumer, scripts: Sequence[Script]) -> None:
        self._bus = bus
        self._consumer = consumer
        self._scripts = list(scripts)
        self.received: list[Received] = []
        self._arrived = asyncio.Condition()

    async def run(self) -> None:
        while deliveries := await self._consumer.receive():
            for delivery in deliveries:
                await self._handle(delivery)

    async def has_received(self, count: int) -> None:
        """Until that many AMQP messages have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)

    async def say(self, body: bytes, *, to: Received) -> None:
        """A reply out of the blue, under the correlation of what was received."""
        assert to.delivery.reply_to is not None
        await self._bus.reply(to.delivery.reply_to, body, to.delivery.correlation_id)

    @property
    def sizes(self) -> list[int]:
        """How many messages each AMQP message held."""
        return [len(received.messages) for received in self.received]

    async def _handle(self, delivery: Delivery) -> None:
        received = Received(delivery, asyncio.get_running_loop().time())
        self.received.append(received)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            for body in script(received):
                if delivery.reply_to is not None:
                    await self._bus.reply(delivery.reply_to, body, delivery.correlation_id)
        except UnavailableError:  # what was not answered comes again
            await self._consumer.requeue([delivery])
        else:
            await self._consumer.ack([delivery])
        async with self._arrived:
            self._arrived.notify_all()


@asynccontextmanager
async def responding(
    bus: Bus, *scripts: Script, agent: str = "storage"
) -> AsyncIterator[Responder]:
    """A responder that works in the background; what goes wrong in it fails the test."""
    responder = Responder(bus, await bus.consume(agent), scripts or [answering()])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(responder.run())
        try:
            yield responder
        finally:
            running.cancel()
