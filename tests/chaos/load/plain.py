"""A plain AMQP client that comes back by itself: for messages that are sent exactly as often as
they are meant to be.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from tests.chaos.history import Exchange, Message
from tests.chaos.load.dialling import LOST, WAIT, closed, dialled
from tests.chaos.load.recording import Recorder, answer_on_wire
from tests.chaos.load.tasks import end

_PAUSE: Final = 0.3
_OTHER: Final = "other-"
_OTHERS: Final = 200  # questions under a used id that may wait for their answers
_EXPIRES: Final = 30 * 60 * 1_000  # milliseconds that the reply queue outlives its reader


class PlainSender:
    """Publishes with confirms and takes what is answered, on a connection each.

    Under a memory alarm the broker stops reading from what has published, and only from that.
    """

    def __init__(self, bus: str, namespace: str, recorder: Recorder) -> None:
        self._bus = bus
        self._namespace = namespace
        self._recorder = recorder
        self._reply_to = f"{namespace}.reply.plain.{secrets.token_hex(6)}"
        self._exchange: AbstractExchange | None = None
        self._connected = asyncio.Event()
        self._others: dict[str, Exchange] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stay connected while the context is entered, as far as the broker lets it."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._publishing()), loop.create_task(self._listening())]
        try:
            yield
        finally:
            await end(tasks)

    async def publish(self, messages: Sequence[Message], *, answered: bool = True) -> bool:
        """Send once, several as an array. Whether the broker took it: if not, nobody knows.

        With `answered` false nobody is to be told the answer.
        """
        body = json.dumps(messages[0] if len(messages) == 1 else list(messages))
        return await self._send(body, messages[0]["action"], secrets.token_hex(6), answered)

    async def publish_other(self, message: Message, exchange: Exchange) -> None:
        """Send another message under the id of one that was executed: it has to be refused.

        The answer is known by its correlation id: under the message's id, late answers to the
        first one may come, too.
        """
        if len(self._others) > _OTHERS:
            self._others.clear()
        correlation_id = _OTHER + secrets.token_hex(6)
        self._others[correlation_id] = exchange
        await self._send(json.dumps(message), message["action"], correlation_id, answered=True)

    async def _send(self, body: str, action: str, correlation_id: str, answered: bool) -> bool:
        said = aio_pika.Message(
            body.encode(),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            reply_to=self._reply_to if answered else None,
            correlation_id=correlation_id,
        )
        try:
            async with asyncio.timeout(WAIT):
                await self._connected.wait()
                exchange = self._exchange
                if exchange is None:
                    return False
                await exchange.publish(said, f"storage.{action}", timeout=WAIT)
        except LOST:
            return False
        return True

    async def _publishing(self) -> None:
        while True:
            try:
                async with dialled(self._bus) as connection:
                    channel = await connection.channel(on_return_raises=True)
                    name = f"{self._namespace}.messages"
                    self._exchange = await channel.get_exchange(name, ensure=False)
                    self._connected.set()
                    await closed(connection)
            except LOST:
                pass
            finally:
                self._connected.clear()
                self._exchange = None
            await asyncio.sleep(_PAUSE)

    async def _listening(self) -> None:
        while True:
            try:
                async with dialled(self._bus) as connection:
                    channel = await connection.channel()
                    await channel.set_qos(prefetch_count=100)
                    queue = await channel.declare_queue(
                        self._reply_to,
                        durable=True,
                        arguments={"x-expires": _EXPIRES},
                        timeout=WAIT,
                    )
                    await queue.consume(self._on_reply, no_ack=True, timeout=WAIT)
                    await closed(connection)
            except LOST:
                pass
            await asyncio.sleep(_PAUSE)

    async def _on_reply(self, message: AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        correlation_id = message.correlation_id or ""
        if correlation_id.startswith(_OTHER):  # it may come twice
            if (other := self._others.pop(correlation_id, None)) is not None:
                self._recorder.take_other(other, answer_on_wire(body))
            return
        for answer in body if isinstance(body, list) else [body]:
            exchange = self._recorder.known(answer["in_reply_to"])
            if exchange is not None:
                self._recorder.take(exchange, answer_on_wire(answer))
