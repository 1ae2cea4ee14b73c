"""What only a broker of one's own can be put through: SIGKILL, and a memory alarm."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from holdfast_protocol.bus.contract import Announcement, Delivery, Publication
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from localservices.manager import RABBITMQ, Manager
from tests.conformance.bus.harness import Heard, Replies, has_nothing_more, soon, take
from tests.conformance.bus.rabbitmq.tools import until

pytestmark = pytest.mark.amqp

_ROOT = Path(__file__).resolve().parents[4]


# Run as a program of its own, which the broker outlives, as `scripts/services` does.
_VERB = """
import sys
from pathlib import Path
from localservices.manager import Manager

manager = Manager(Path(sys.argv[1]), Path(sys.argv[2]), print, private=True)
match sys.argv[3:]:
    case ["start"]:
        manager.up(["rabbitmq"])
    case ["stop"]:
        manager.down(["rabbitmq"])
    case ["kill"]:
        manager.down(["rabbitmq"], crash=True)
    case ["control", *arguments]:
        manager.rabbitmqctl(arguments)
"""


class PrivateBroker:
    """A RabbitMQ of the test's own, its data in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def url(self) -> str:
        manager = Manager(_ROOT, self._directory, lambda _: None, private=True)
        return manager.env()[RABBITMQ.url_variable]

    def start(self) -> None:
        self._run("start")

    def stop(self) -> None:
        """In good order, everything written to disk."""
        self._run("stop")

    def kill(self) -> None:
        """SIGKILL: no farewell to anybody."""
        self._run("kill")

    def set_memory_limit(self, fraction: float) -> None:
        """A limit below what it uses raises the memory alarm."""
        self._run("control", "set_vm_memory_high_watermark", str(fraction))

    def _run(self, *verb: str) -> None:
        subprocess.run(
            [sys.executable, "-c", _VERB, str(_ROOT), str(self._directory), *verb],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
            env={"PYTHONPATH": str(_ROOT / "scripts"), "PATH": os.defpath},
        )


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    if not RABBITMQ.installed():
        pytest.skip("a private broker needs rabbitmq-server on this machine")
    private = PrivateBroker(tmp_path_factory.mktemp("broker"))
    try:
        private.start()
        asyncio.run(_declare(private.url))
        # RabbitMQ 3.10 registers a new quorum queue on disk late: killed before, the queue
        # comes back without a leader, for ever. Old queues are what is tested here.
        private.stop()
        private.start()
        yield private
    finally:
        private.kill()


async def _declare(url: str) -> None:
    async with RabbitBus(url) as bus:
        await bus.consume("storage")
        await bus.journal(b"0")


@pytest.fixture
async def bus(broker: PrivateBroker) -> AsyncIterator[RabbitBus]:
    async with RabbitBus(broker.url, operation_timeout=90) as opened:
        yield opened


async def test_everything_is_there_again_after_the_broker_was_killed(
    broker: PrivateBroker, bus: RabbitBus
) -> None:
    consumer = await bus.consume("storage", prefetch=10)
    replies = Replies()
    address = await bus.open_reply_address("me", replies)
    confirmed: set[bytes] = set()

    async def publish(first: int) -> None:
        for number in range(first, first + 100):
            body = b"%d" % number
            await bus.publish(Publication("storage.x", body))
            confirmed.add(body)

    publishing = [asyncio.create_task(publish(first)) for first in range(0, 1000, 100)]
    unsettled = await soon(consumer.receive())
    await asyncio.to_thread(broker.kill)
    await until(lambda: _holds(not consumer.connected))
    await asyncio.to_thread(broker.start)
    async with asyncio.timeout(90):
        await asyncio.gather(*publishing)
    assert len(confirmed) == 1000
    await consumer.ack(unsettled)  # of the dead connection: settles nothing
    arrived: set[bytes] = set()
    while arrived != confirmed:
        deliveries = await soon(consumer.receive())
        arrived |= {delivery.body for delivery in deliveries}
        await consumer.ack(deliveries)
    assert address.generation >= 2
    assert await soon(bus.reply(address.address, b"x", "c")) is True
    assert (await replies.next()).body == b"x"


async def test_listeners_the_journal_and_dead_letters_outlive_a_killed_broker(
    broker: PrivateBroker, bus: RabbitBus
) -> None:
    heard = Heard()
    await bus.listen("events", ["#"], heard, heard.ready)
    await soon(heard.readiness.get())
    chunks = bus.read_journal(follow=True)
    await bus.journal(b"1")
    assert [await soon(anext(chunks)) for _ in range(2)] == [b"0", b"1"]
    await bus.dead_letter(
        Delivery(b"letter", "storage.x", tag=None), reason="r", error="e", agent="a"
    )
    announced = [Announcement("events", "a", b"%d" % number) for number in range(50_000)]
    announcing = asyncio.create_task(bus.announce(announced))
    await heard.next()
    await asyncio.to_thread(broker.kill)
    with pytest.raises(UnavailableError):
        await soon(announcing)
    await asyncio.to_thread(broker.start)
    async with asyncio.timeout(90):
        await heard.readiness.get()
        assert await bus.announce([Announcement("events", "a", b"after")]) == [True]
        while (await heard.broadcasts.get()).body != b"after":
            pass
        await bus.journal(b"2")
        assert await anext(chunks) == b"2"
        assert [chunk async for chunk in bus.read_journal()] == [b"0", b"1", b"2"]
    async with bus.dead_letters() as walk:
        assert b"letter" in [letter.body for letter in await walk.take(100)]


async def test_announcing_waits_for_a_broker_that_takes_nothing_now(
    broker: PrivateBroker, bus: RabbitBus
) -> None:
    heard = Heard()
    await bus.listen("events", ["#"], heard)
    await bus.announce([Announcement("events", "a", b"before")])
    await asyncio.to_thread(broker.set_memory_limit, 0.00001)
    try:
        async with RabbitBus(broker.url, operation_timeout=0.5) as other:
            with pytest.raises(UnavailableError):
                await soon(other.announce([Announcement("events", "a", b"blocked")]))
            await until(lambda: _holds(other.blocked))
        waiting = asyncio.create_task(bus.announce([Announcement("events", "a", b"waits")]))
        await until(lambda: _holds(bus.blocked))
        assert not waiting.done()
    finally:
        await asyncio.to_thread(broker.set_memory_limit, 0.6)
    assert await soon(waiting) == [True]
    while (await heard.next()).body != b"waits":
        pass


async def test_a_blocked_connection_is_told_and_publishing_is_unavailable(
    broker: PrivateBroker, bus: RabbitBus
) -> None:
    consumer = await bus.consume("alarm")
    replies = Replies()
    address = await bus.open_reply_address("me", replies)
    await bus.publish(Publication("alarm.x", b"before"))
    deliveries = await take(consumer, 1)
    await asyncio.to_thread(broker.set_memory_limit, 0.00001)
    try:
        async with RabbitBus(broker.url, operation_timeout=0.5) as other:
            # The broker blocks who publishes, and tells it then.
            with pytest.raises(UnavailableError):
                await soon(other.publish(Publication("alarm.x", b"blocked")))
            await until(lambda: _holds(other.blocked))
            with pytest.raises(UnavailableError):
                await soon(other.publish(Publication("alarm.x", b"not even sent")))
            with pytest.raises(UnavailableError):
                await soon(other.reply(address.address, b"not even sent", None))
            # Consuming goes on meanwhile: its connection never published.
            await consumer.ack(deliveries)
            assert consumer.connected
    finally:
        await asyncio.to_thread(broker.set_memory_limit, 0.6)
    await soon(bus.publish(Publication("alarm.x", b"after")))
    assert not bus.blocked
    bodies: list[bytes] = []
    while b"after" not in bodies:
        received = await soon(consumer.receive())
        bodies += [delivery.body for delivery in received]
        await consumer.ack(received)
    assert b"not even sent" not in bodies
    assert await has_nothing_more(bus, consumer, "alarm")


async def _holds(condition: bool) -> bool:
    return condition
