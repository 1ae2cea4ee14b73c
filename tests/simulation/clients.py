"""Client processes of an episode: workers that ask, one message after the other."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import BusClosedError, HoldfastError
from tests.chaos.checks.promises import ONE_EFFECT, SAME_ANSWER
from tests.chaos.history import Exchange, Violation
from tests.chaos.load.recording import answer_of, is_write
from tests.simulation.broker import SimulatedBroker
from tests.simulation.bus import SimulatedBus
from tests.simulation.plans import COLLECTIONS, SENDER, Operation
from tests.simulation.processes import Process
from tests.simulation.recording import Recorder
from tests.simulation.world import World

ATTEMPT: Final = 8.0
"""Virtual seconds that a client tries on its own."""
ATTEMPTS: Final = 2
_PAUSE: Final = 0.25
_GRACE: Final = 1.0
"""By how much a request may overrun its timeout."""


class ClientProcess:
    """One client process, over all of its lives: killed, it goes on with what was not begun."""

    def __init__(
        self,
        world: World,
        broker: SimulatedBroker,
        recorder: Recorder,
        name: str,
        operations: Sequence[Operation],
        elsewhere: Callable[[Operation], None],
    ) -> None:
        self._world = world
        self._broker = broker
        self._recorder = recorder
        self._name = name
        self._elsewhere = elsewhere
        self._lives = 0
        self._workers: dict[int, deque[Operation]] = {}
        for operation in operations:
            self._workers.setdefault(operation.worker, deque()).append(operation)
        self._process: Process | None = None
        self._client: AgentClient | None = None
        self.done = asyncio.Event()

    def start(self) -> None:
        """Begin the next life."""
        self._lives += 1
        process = self._world.begin(f"{self._name}.{self._lives}")
        self._process, self._client = process, None
        process.on_death.append(lambda: self._world.later(0.1, self.start))
        self._world.loop.create_task(self._live(process), context=process.context)

    def also(self, operation: Operation) -> None:
        """Send a message of another client again, now."""
        process, client = self._process, self._client
        if process is not None and process.alive and client is not None:
            self._world.loop.create_task(self._repeat(client, operation), context=process.context)

    async def _live(self, process: Process) -> None:
        while True:
            try:
                async with (
                    SimulatedBus(self._broker, process) as bus,
                    AgentClient(bus=bus, sender=SENDER, timeout=ATTEMPT) as client,
                ):
                    self._client = client
                    await self._work(process, client)
                    break
            except HoldfastError as error:
                self._world.tell(f"{process.name} cannot open: {error}")
                await asyncio.sleep(_PAUSE)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                self._recorder.wrongs.append(f"{process.name} ended: {error!r}")
                break
        process.on_death.clear()
        self.done.set()

    async def _work(self, process: Process, client: AgentClient) -> None:
        async with asyncio.TaskGroup() as group:
            for operations in self._workers.values():
                group.create_task(self._one_after_the_other(process, client, operations))

    async def _one_after_the_other(
        self, process: Process, client: AgentClient, operations: deque[Operation]
    ) -> None:
        while operations:
            await asyncio.sleep(operations[0].pause)
            operation = operations.popleft()
            if operation.again in ("elsewhere", "at once"):
                self._elsewhere(operation)
            exchange = self._recorder.begin(operation)
            if operation.cancel_after is not None:
                exchange.cancel_asked = True
                asyncio.get_running_loop().create_task(_cancel(client, operation))
            if operation.is_silent:
                await self._tell(client, operation, exchange)
                continue
            await self._ask(process, client, operation, exchange)
            if operation.again == "afterwards":
                await self._repeat(client, operation)
            is_known = exchange.answer is not None and is_write(exchange.message)
            if operation.again == "otherwise" and is_known:  # what only reads has no identity
                await self._misuse(client, operation)
            if operation.again == "late" and is_known:
                beside = _beside(operation)
                await asyncio.gather(
                    self._repeat(client, operation, deadline=0.0),
                    self._ask(process, client, beside, self._recorder.begin(beside)),
                )

    async def _misuse(self, client: AgentClient, operation: Operation) -> None:
        """Another message under an id that is known must not be done."""
        payload = {"collection": COLLECTIONS[0], "task": {"title": "another"}}
        try:
            response = await client.request(
                "storage", "storage_save", payload, message_id=operation.id, timeout=ATTEMPT
            )
        except HoldfastError:
            return
        # A late answer to the first message bears the same id, and may come instead.
        if isinstance(response.result, dict) and response.result.get("title") == "another":
            text = f"{operation.id} was done again with another payload"
            self._recorder.violations.append(Violation(ONE_EFFECT, text))

    async def _tell(self, client: AgentClient, operation: Operation, exchange: Exchange) -> None:
        """Send it once, without an answer. Where the broker did not confirm, it is asked later."""
        try:
            await client.send(
                "storage",
                operation.action,
                operation.payload,
                message_id=operation.id,
                timeout=ATTEMPT,
            )
        except HoldfastError as error:
            self._world.tell(f"{operation.id} is not confirmed: {error!r}")
        else:
            exchange.expects = "effect"

    async def _ask(
        self, process: Process, client: AgentClient, operation: Operation, exchange: Exchange
    ) -> None:
        deadline = operation.deadline
        for _ in range(ATTEMPTS):
            began, stops = self._world.now, process.stops
            try:
                response = await client.request(
                    "storage",
                    operation.action,
                    operation.payload,
                    message_id=operation.id,
                    timeout=ATTEMPT,
                    deadline=deadline,
                )
            except BusClosedError:
                return
            except HoldfastError as error:
                self._world.tell(f"{process.name} {operation.id}: {type(error).__name__}")
            else:
                if self._recorder.take(exchange, answer_of(response)):
                    return
            took = self._world.now - began
            if took > ATTEMPT + _GRACE and process.stops == stops:
                wrong = f"{operation.id} took {took:.3f} s, with a timeout of {ATTEMPT} s"
                self._recorder.wrongs.append(wrong)
            deadline = None
            exchange.repeated += 1
            await asyncio.sleep(_PAUSE)

    async def _repeat(
        self, client: AgentClient, operation: Operation, *, deadline: float | None = None
    ) -> None:
        """Send it again; what comes must be the same.

        With a deadline it was answered before, and keeps its answer, however late it comes again.
        """
        exchange = self._recorder.begin(operation)
        exchange.repeated += 1
        try:
            response = await client.request(
                "storage",
                operation.action,
                operation.payload,
                message_id=operation.id,
                timeout=ATTEMPT,
                deadline=deadline,
            )
        except HoldfastError:
            return
        if deadline is not None and response.error_type == "expired":
            text = f"{operation.id} was answered, and then that it was not executed in time"
            self._recorder.violations.append(Violation(SAME_ANSWER, text))
        self._recorder.take(exchange, answer_of(response))


def _beside(operation: Operation) -> Operation:
    """A new record for the batch of a message that comes again."""
    payload = {
        "collection": operation.payload.get("collection", COLLECTIONS[0]),
        "task": {"title": "beside", "hits": 1},
    }
    name = f"{operation.id} beside"
    return replace(operation, id=name, action="storage_save", payload=payload, again="no")


async def _cancel(client: AgentClient, operation: Operation) -> None:
    await asyncio.sleep(operation.cancel_after or 0.0)
    try:
        await client.cancel(operation.id)
    except HoldfastError:
        return
