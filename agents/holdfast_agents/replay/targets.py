"""What a log can be replayed against: agents straight over a store, or those on a bus."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol

from holdfast_agents.base.agent import Agent
from holdfast_agents.base.work import TransientError
from holdfast_agents.wiring import ServiceOptions, open_agents
from holdfast_protocol.bus.contract import Bus, Publication, ReplyAddress, ReplyDelivery
from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.codec import decode_responses, encode_message, encode_messages
from holdfast_protocol.errors import HoldfastError, NoRouteError, RequestTimeoutError
from holdfast_protocol.messages import AgentMessage, AgentResponse
from holdfast_protocol.times import to_micros, utc_now

from .told import AgentAnswer, Told

_ANSWER_SECONDS: Final = 120.0


class Target(Protocol):
    """Where messages are executed."""

    async def send(
        self, agent: str, messages: Sequence[AgentMessage], at: datetime
    ) -> Sequence[Told]:
        """Have an agent execute messages in their order; their answers, in order.

        `at` is the moment of the log that they belong to. No two have the same id.

        Raises:
            NoRouteError: there is no such agent here; nothing was executed.
            HoldfastError: there is no answer.
        """
        ...


class StoreTarget:
    """Agents straight over a backend. The store's clock follows the log."""

    def __init__(self, agents: Mapping[str, Agent[Any]], clock: "LogClock") -> None:
        self._agents = agents
        self._clock = clock

    async def send(
        self, agent: str, messages: Sequence[AgentMessage], at: datetime
    ) -> Sequence[AgentAnswer]:
        """As `Target.send`."""
        executing = self._agents.get(agent)
        if executing is None:
            raise NoRouteError(f"There is no agent {agent} here")
        self._clock.now = to_micros(at)
        prepared = executing.prepare(messages)
        try:
            answers = await executing.execute(prepared)
        except TransientError as transient:
            answers = executing.give_up(prepared, transient.error)
        return [AgentAnswer(answer.reply) for answer in answers]


class LogClock:
    """A backend's clock that says the log's moment: what had expired then has expired now."""

    def __init__(self) -> None:
        self.now = to_micros(utc_now())

    def __call__(self) -> int:
        """Microseconds since 1970."""
        return self.now


class BusTarget:
    """The agents that serve a bus. Records expire there by the real time.

    Nothing is sent twice: the answer to a repetition would differ by `replayed`.
    """

    def __init__(self, bus: Bus, *, timeout: float = _ANSWER_SECONDS) -> None:
        self._bus = bus
        self._timeout = timeout
        self._address: ReplyAddress | None = None
        self._waiting: dict[str, asyncio.Future[AgentResponse]] = {}

    async def open(self) -> None:
        """Declare the reply address. Raises UnavailableError."""
        self._address = await self._bus.open_reply_address("replay", self._on_reply)

    async def send(
        self, agent: str, messages: Sequence[AgentMessage], at: datetime
    ) -> Sequence[AgentResponse]:
        """As `Target.send`; all in one AMQP message, so that their order holds."""
        del at
        if self._address is None:
            raise RuntimeError("The target is not open")
        loop = asyncio.get_running_loop()
        self._waiting = {message.id: loop.create_future() for message in messages}
        one = len(messages) == 1
        body = encode_message(messages[0]) if one else encode_messages(messages)
        key, correlation = f"{agent}.{messages[0].action}", secrets.token_hex(8)
        await self._bus.publish(Publication(key, body, correlation, self._address.address))
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.gather(*self._waiting.values())
        except TimeoutError:
            raise RequestTimeoutError(f"No answer within {self._timeout:g} seconds") from None

    def _on_reply(self, delivery: ReplyDelivery) -> None:
        try:
            responses = decode_responses(delivery.body)
        except HoldfastError as error:
            self._fail(error)
            return
        for response in responses:
            future = self._waiting.get(response.in_reply_to or "")
            if future is not None and not future.done():
                future.set_result(response)

    def _fail(self, error: HoldfastError) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


@asynccontextmanager
async def open_store_target(
    url: str, options: ServiceOptions | None = None
) -> AsyncIterator[StoreTarget]:
    """All agents of this program over the backend at a URL, and the extra ones of the options.

    Raises:
        ValueError: the URL is wrong.
        StorageError: the backend cannot be opened.
    """
    clock = LogClock()
    chosen = options if options is not None else ServiceOptions()
    store = replace(chosen.backend_options, clock=clock)
    async with open_agents(url, replace(chosen, backend_options=store)) as agents:
        own = {agent.name: agent for agent in chosen.extra_agents}
        yield StoreTarget({**agents, **own}, clock)


@asynccontextmanager
async def open_bus_target(url: str, namespace: str = "holdfast") -> AsyncIterator[BusTarget]:
    """The agents that serve the bus at a URL.

    Raises:
        ValueError: the URL or the namespace is wrong.
        UnavailableError: the broker cannot be reached.
    """
    async with open_bus(url, namespace=namespace) as bus:
        target = BusTarget(bus)
        await target.open()
        yield target
