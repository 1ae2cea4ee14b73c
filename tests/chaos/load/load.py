"""Load that survives everything and records what happened to every message."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Any, Final, Self

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import UnavailableError
from tests.chaos.history import Answer, Exchange, History, Kept
from tests.chaos.load.asking import Asker
from tests.chaos.load.drawing import COUNTERS, SENDER, Drawer
from tests.chaos.load.hearing import Ear
from tests.chaos.load.locking import Locker
from tests.chaos.load.once import OnceSender
from tests.chaos.load.plain import PlainSender
from tests.chaos.load.published import Published
from tests.chaos.load.rates import Rates
from tests.chaos.load.reading import Reader, left_in_queue
from tests.chaos.load.recording import Recorder, is_write
from tests.chaos.load.tasks import end

COLLECTIONS: Final = ("orders", "people", "notes")
_LOCKERS: Final = 2
_ASKED_AGAIN: Final = 500  # messages that are sent once more when all is over
_BURST: Final = 8  # messages that a worker asks at once, at most
_TOO_MANY: Final = 2_000  # unanswered messages: more are not begun
PATIENCE: Final = 60.0
_LONGEST_WAIT: Final = 600.0
_PAUSE: Final = 0.2
_SILENCE: Final = 15.0  # seconds without any event: then no more are expected


class Load:
    """Asks an agent all kinds of things, from entering on, until `finish`.

    An async context manager. Each message is asked until it is answered, under an id of its own,
    which begins with `token`; the collections carry it too, so every load begins with empty ones.

    Args:
        bus: the URL of the broker, or of what stands before it.
        namespace: the prefix of the broker's objects.
        seed: of what is drawn.
        workers: how many ask at the same time.
        clients: how many connections they share.
        collections: the names of what is written to.
        follow: whether subscriptions stand all the time.
        control: the broker's own URL, where `bus` is something before it: for subscriptions and
            for what is read at the end.
        patience: seconds that a message waits for its answer, before it is left to the end; that
            it waits there; and that the system may take to be readable again after that.
    """

    def __init__(
        self,
        bus: str,
        namespace: str,
        seed: int,
        *,
        workers: int = 16,
        clients: int = 2,
        collections: Sequence[str] = COLLECTIONS,
        follow: bool = True,
        control: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.token = secrets.token_hex(4)
        self._bus = bus
        self._control = control or bus
        self._patience = patience
        self._namespace = namespace
        self._workers = workers
        self._client_count = clients
        drawn_from = [f"{name}-{self.token}" for name in collections]
        once = f"once-{self.token}"
        self._collections = [*drawn_from, once]
        self._seed = seed
        self._drawer = Drawer(seed, self.token, drawn_from)
        self._record = Recorder()
        self._ear = Ear(self._control, namespace, self._collections) if follow else None
        self._told_of = drawn_from[0]
        self._published = Published(self._control, namespace, self._told_of) if follow else None
        self._stack = AsyncExitStack()
        self._clients: list[AgentClient] = []
        self._sender = PlainSender(bus, namespace, self._record)
        heard = [] if self._ear is None else self._ear.heard[once]
        self._once = OnceSender(self._sender, self._record, self._drawer, once, heard)
        self._asker = Asker(self._record, self._clients, self._sender, seed, patience)
        self._sending: asyncio.Task[None] | None = None
        self._working: list[asyncio.Task[None]] = []
        self._enough = False

    # -- what is seen while it runs ------------------------------------------------------------

    @property
    def answered(self) -> int:
        """How many messages are answered."""
        return self._record.answered

    @property
    def operations(self) -> int:
        """How many operations are answered: those of a batch, and every other message."""
        return self._record.operations

    @property
    def unanswered(self) -> int:
        """How many messages wait for their answer."""
        return self._record.unanswered

    @property
    def rates(self) -> Rates:
        """When the answers came."""
        return self._record.rates

    @property
    def refusals(self) -> dict[str, int]:
        """What was said instead of an answer, and how often: error types, errors of the client."""
        return dict(self._record.refusals)

    def first_success_after(self, moment: float) -> float | None:
        """When the first success after a moment came; None while there is none."""
        return self.rates.first_success_after(moment)

    async def until(self, more: int, patience: float = _LONGEST_WAIT) -> None:
        """Until so many more are answered. Raises TimeoutError."""
        wanted = self.answered + more
        async with asyncio.timeout(patience):
            while self.answered < wanted:
                await self._record.news()

    async def until_operations(self, more: int, patience: float = _LONGEST_WAIT) -> None:
        """Until so many more operations are answered. Raises TimeoutError."""
        wanted = self.operations + more
        async with asyncio.timeout(patience):
            while self.operations < wanted:
                await self._record.news()

    # -- from begin to end ---------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            for _number in range(self._client_count):
                self._clients.append(await self._opened(self._bus))
            await self._stack.enter_async_context(self._sender.running())
            if self._published is not None:
                await self._stack.enter_async_context(self._published.running())
            if self._ear is not None:
                await self._stack.enter_async_context(self._ear.listening())
            await self._prepare()
        except BaseException:
            await self._stack.aclose()
            raise
        loop = asyncio.get_running_loop()
        self._sending = loop.create_task(self._once.run())
        self._working += [loop.create_task(self._work(n)) for n in range(self._workers)]
        self._working += [loop.create_task(self._lock(n)) for n in range(_LOCKERS)]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._enough = True
        try:
            await end(self._working)
            await self._stop_sending()
        finally:
            await self._stack.aclose()

    async def finish(self) -> History:
        """Begin nothing new, ask until everything is answered, and read what is kept.

        Faults are over by now. Raises NotBackError when the system cannot be read any more.
        """
        self._enough = True
        await asyncio.gather(*self._working)
        await self._stop_sending()
        client = await self._opened(self._control)
        reader = Reader(client, self._patience)
        await self._settle(client)
        await self._once.settle(reader, self.token)
        kept = {name: await self._kept(reader, name) for name in self._collections}
        letters = await reader.dead_letters(self.token)
        if letters:
            await reader.remove_refused()
        left = await left_in_queue(self._control, self._namespace, self._patience)
        return History(self._record.exchanges, kept, letters, left)

    # -- parts ---------------------------------------------------------------------------------

    async def _opened(self, url: str) -> AgentClient:
        """A client that stays open as long as the load, opened as soon as the broker is there."""
        async with asyncio.timeout(self._patience):
            while True:
                client = AgentClient(url, SENDER, namespace=self._namespace)
                try:
                    return await self._stack.enter_async_context(client)
                except UnavailableError:
                    await asyncio.sleep(_PAUSE)

    async def _work(self, number: int) -> None:
        size = 1 + number % _BURST  # some ask one by one, some many at once
        while not self._enough:
            if self.unanswered > _TOO_MANY:
                await asyncio.sleep(_PAUSE)
                continue
            burst = [self._record.begin(self._drawer.draw()) for _place in range(size)]
            await asyncio.gather(*(self._ask(exchange) for exchange in burst))

    async def _lock(self, number: int) -> None:
        locker = Locker(self._drawer, self._seed + number, self._tell)
        while not self._enough:
            await locker.once()

    async def _tell(self, action: str, payload: dict[str, Any]) -> Answer | None:
        exchange = self._record.begin(self._drawer.message(action, payload))
        return await self._asker.ask(exchange)

    async def _prepare(self) -> None:
        """The records that count."""
        for collection in self._collections[:-1]:
            for number in range(COUNTERS):
                payload = {"collection": collection, "task": {"id": f"c{number}", "hits": 0}}
                exchange = self._record.begin(self._drawer.message("storage_save", payload))
                await self._asker.plainly(self._clients[0], exchange)

    async def _ask(self, exchange: Exchange) -> None:
        if await self._asker.ask(exchange):
            self._drawer.learn(exchange)

    async def _stop_sending(self) -> None:
        if self._sending is not None:
            await end([self._sending])

    async def _settle(self, client: AgentClient) -> None:
        """Ask what has no answer once more, some of what has one, and what was cancelled."""
        waiting = [
            exchange
            for exchange in self._record.exchanges
            if exchange.answer is None and exchange.expects == "answer"
        ]
        writes = [e for e in self._record.exchanges if e.answer and is_write(e.message)]
        again = Random(self._seed).sample(writes, min(len(writes), _ASKED_AGAIN))
        again += [e for e in writes if e.answer and e.answer.get("error_type") == "cancelled"]
        for exchange in again:
            exchange.repeated += 1
        asking = (self._asker.plainly(client, e) for e in [*waiting, *again])
        await asyncio.gather(*asking)

    async def _kept(self, reader: Reader, collection: str) -> Kept:
        """With what was heard and published of it, once that has come or does not come any more."""
        kept = await reader.kept(collection)
        last = kept.events[-1]["sequence"] if kept.events else 0
        if self._ear is not None:
            await self._ear.until(collection, last, _SILENCE)
            kept = replace(kept, heard=self._ear.heard[collection])
        if self._published is not None and collection == self._told_of:
            await self._published.until(last, _SILENCE)
            kept = replace(kept, published=self._published.events)
        return kept
