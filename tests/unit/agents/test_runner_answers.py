"""The runner: what is held of answers is bounded in bytes, whatever the messages were."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from pydantic import JsonValue

from holdfast_agents import StorageAgent
from holdfast_agents.base.answers import Answer
from holdfast_agents.base.runner import Recording, Runner, RunnerLimits
from holdfast_agents.base.sizing import held_by
from holdfast_backends import InMemoryBackend
from holdfast_backends.operations import Operation, Save
from holdfast_backends.outcomes import Found, Outcome
from holdfast_protocol.bus.contract import Publication, ReplyDelivery
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.memory_broker import MemoryBroker
from holdfast_protocol.codec import Refusal
from holdfast_protocol.errors import UnavailableError
from holdfast_protocol.messages import AgentMessage

Json = dict[str, JsonValue]

_MEBI = 1024 * 1024
_RECORD = 512 * 1024
_LIMIT = 4 * _MEBI  # four reads at a time
_LIMITS = RunnerLimits(answer_bytes=_LIMIT, response_bytes=_MEBI)


class CountingBackend(InMemoryBackend):
    """Counts the bytes that it gives out, and the operations of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0
        self.batches: list[int] = []

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        outcomes = await super().execute(operations)
        self.batches.append(len(operations))
        self.given += sum(
            len(outcome.record.document) for outcome in outcomes if isinstance(outcome, Found)
        )
        return outcomes


class SlowBus(MemoryBus):
    """A bus that confirms replies when it is let, and counts what waits for that."""

    def __init__(self, *, broker: MemoryBroker) -> None:
        super().__init__(broker=broker)
        self.may_confirm = asyncio.Event()
        self.waiting_bytes = 0
        self.refusals = 0
        """How many of the next replies are not confirmed at all."""

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        self.waiting_bytes += len(body)
        await self.may_confirm.wait()
        self.waiting_bytes -= len(body)
        if self.refusals:
            self.refusals -= 1
            raise UnavailableError("not confirmed")
        return await super().reply(address, body, correlation_id)


class SlowJournal:
    """A journal that keeps what it is given when it is let."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.ids: list[str | None] = []
        self.kept: list[asyncio.Future[bool]] = []

    def record(
        self, agent: str, items: Sequence[AgentMessage | Refusal], answers: Sequence[Answer]
    ) -> Awaitable[bool]:
        del agent
        self.given.append(held_by(answers))
        self.ids += [item.id for item in items]
        self.kept.append(asyncio.get_running_loop().create_future())
        return self.kept[-1]

    def keep(self, *, is_kept: bool = True) -> None:
        """Let everything go that waits."""
        for future in self.kept:
            if not future.done():
                future.set_result(is_kept)


class Service:
    """A runner on a slow bus, and a caller of it."""

    def __init__(self, backend: CountingBackend, bus: SlowBus, runner: Runner) -> None:
        self.backend = backend
        self.bus = bus
        self.runner = runner
        self.address = ""
        self.replies: asyncio.Queue[ReplyDelivery] = asyncio.Queue()

    async def publish(self, body: JsonValue) -> None:
        encoded = json.dumps(body).encode()
        await self.bus.publish(Publication("storage.any", encoded, "c", self.address))

    async def answers(self, count: int) -> list[Json]:
        """The next ones, of however many bodies."""
        found: list[Json] = []
        while len(found) < count:
            body = (await asyncio.wait_for(self.replies.get(), 10)).body
            value = json.loads(body)
            found += value if isinstance(value, list) else [value]
        return found


@asynccontextmanager
async def serving(
    limits: RunnerLimits = _LIMITS, journal: Recording | None = None
) -> AsyncIterator[Service]:
    backend = CountingBackend()
    await backend.execute([Save({"text": "x" * _RECORD})])
    backend.batches.clear()
    async with SlowBus(broker=MemoryBroker()) as bus:
        runner = Runner(StorageAgent(backend), bus, limits=limits, journal=journal)
        service = Service(backend, bus, runner)
        await runner.start()
        address = await bus.open_reply_address("test", service.replies.put_nowait)
        service.address = address.address
        running = asyncio.create_task(runner.run())
        try:
            yield service
        finally:
            bus.may_confirm.set()
            if isinstance(journal, SlowJournal):
                journal.keep()
            await runner.stop()
            await asyncio.wait_for(running, 10)


def get(number: int) -> Json:
    return {"action": "storage_get", "id": f"g{number}", "payload": {"task_id": 1}}


def small_update(number: int) -> Json:
    return {
        "action": "storage_update",
        "id": f"u{number}",
        "payload": {"task_id": 1, "changes": {"n": number}},
    }


def save(number: int) -> Json:
    return {"action": "storage_save", "id": f"s{number}", "payload": {"task": {"n": number}}}


def replayed(answer: Json) -> bool:
    meta = answer["meta"]
    return isinstance(meta, dict) and "replayed" in meta


def mixed_batch(number: int) -> Json:
    operations: list[JsonValue] = [
        {"action": "storage_get", "payload": {"task_id": 1}},
        {"action": "storage_save", "payload": {"task": {"n": number}}},
    ]
    return {"action": "storage_batch", "id": f"b{number}", "payload": {"operations": operations}}


async def settled(condition: Callable[[], bool]) -> None:
    """Wait for a condition, and then until nothing more happens by itself."""
    for _ in range(10_000):
        if condition():
            break
        await asyncio.sleep(0.001)
    else:
        raise TimeoutError
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.mark.parametrize("is_array", [True, False])
@pytest.mark.parametrize("ask", [get, small_update, mixed_batch])
async def test_large_answers_are_not_gathered_while_the_broker_is_slow(
    ask: Callable[[int], Json], *, is_array: bool
) -> None:
    async with serving() as service:
        messages: list[JsonValue] = [ask(number) for number in range(150)]
        bodies = [*messages]
        if is_array:
            bodies = [bodies[start : start + 50] for start in range(0, 150, 50)]
        for body in bodies:
            await service.publish(body)
        backend, bus = service.backend, service.bus
        await settled(lambda: sum(backend.batches) >= 4)
        assert sum(backend.batches) * _RECORD <= 2 * _LIMIT
        assert 0 < bus.waiting_bytes <= 2 * _LIMIT
        bus.may_confirm.set()
        answers = await service.answers(150)
    assert [answer["in_reply_to"] for answer in answers] == [ask(n)["id"] for n in range(150)]
    assert all(answer["status"] == "success" for answer in answers)
    assert max(backend.batches) == 4


async def test_of_an_array_of_large_answers_one_body_at_a_time_is_encoded() -> None:
    async with serving(RunnerLimits(response_bytes=_MEBI)) as service:
        await service.publish([*map(get, range(60))])
        await settled(lambda: service.bus.waiting_bytes > 0)
        assert service.backend.batches == [60]
        assert service.bus.waiting_bytes < 4 * _MEBI
        service.bus.may_confirm.set()
        assert len(await service.answers(60)) == 60


async def test_parts_of_an_array_take_effect_in_its_order() -> None:
    messages: list[JsonValue] = []
    for number in range(20):
        messages += [small_update(number), get(number)]
    async with serving() as service:
        service.bus.may_confirm.set()
        await service.publish(messages)
        answers = await service.answers(40)
    seen = [answer["result"]["n"] for answer in answers]  # type: ignore[index,call-overload]
    assert seen == [number for number in range(20) for _ in range(2)]
    assert set(service.backend.batches) == {4}


async def test_saves_are_never_split() -> None:
    saves: list[JsonValue] = [save(number) for number in range(500)]
    one: JsonValue = {"action": "storage_save", "payload": {"task": {"n": 0}}}
    batch: JsonValue = {"action": "storage_batch", "payload": {"operations": [one, one]}}
    async with serving(RunnerLimits(answer_bytes=1)) as service:
        service.bus.may_confirm.set()
        await service.publish(saves)
        await service.answers(500)
        await service.publish([batch for _ in range(10)])
        await service.answers(10)
    assert service.backend.batches == [500, 10]


async def test_saves_go_on_beside_small_answers_that_are_not_confirmed() -> None:
    async with serving() as service:
        backend = service.backend
        await service.publish({"action": "storage_get", "payload": {"task_id": 2}})  # not found
        await settled(lambda: sum(backend.batches) == 1)
        for _ in range(3):
            await service.publish(
                [{"action": "storage_get", "payload": {"task_id": 2}} for _ in range(4)]
            )
        await settled(lambda: sum(backend.batches) == 13)
        await service.publish({"action": "storage_save", "payload": {"task": {"n": 1}}})
        await settled(lambda: sum(backend.batches) == 14)


async def test_a_delivery_is_settled_once_all_its_parts_are_answered_and_kept() -> None:
    journal = SlowJournal()
    async with serving(journal=journal) as service:
        service.bus.may_confirm.set()
        await service.publish([*map(get, range(8))])
        await service.answers(8)
        assert service.runner.unsettled == 1
        journal.kept[1].set_result(True)
        await settled(lambda: True)
        assert service.runner.unsettled == 1
        journal.keep()
        await settled(lambda: service.runner.unsettled == 0)
    assert journal.ids == [f"g{number}" for number in range(8)]


async def test_the_journal_is_not_given_more_than_the_bound() -> None:
    journal = SlowJournal()
    async with serving(journal=journal) as service:
        service.bus.may_confirm.set()
        await service.publish([*map(get, range(60))])
        await settled(lambda: len(journal.given) >= 2)
        assert sum(journal.given) <= 2 * _LIMIT
        while len(journal.ids) < 60:
            journal.keep()
            await asyncio.sleep(0.001)
    assert max(journal.given) <= _LIMIT


async def test_one_part_that_was_not_kept_brings_the_whole_array_again() -> None:
    journal = SlowJournal()
    async with serving(journal=journal) as service:
        service.bus.may_confirm.set()
        await service.publish([save(1), *map(get, range(7)), save(2)])
        await service.answers(9)
        journal.kept[0].set_result(True)
        journal.kept[1].set_result(False)
        await settled(lambda: len(journal.kept) == 4)
        journal.keep()
        again = await service.answers(9)
        await service.publish({"action": "storage_count"})
        await settled(lambda: len(journal.kept) == 5)
        journal.keep()
        (count,) = await service.answers(1)
    assert [replayed(one) for one in again] == [True, *[False] * 7, True]
    assert count["result"] == 3


async def test_one_part_that_was_not_confirmed_brings_the_whole_array_again() -> None:
    async with serving() as service:
        service.bus.refusals = 1
        service.bus.may_confirm.set()
        await service.publish([save(1), *map(get, range(7)), save(2)])
        # A part's first body that is not confirmed takes those after it with it.
        await settled(lambda: sum(service.backend.batches) == 18)
        await settled(lambda: service.runner.unsettled == 0)
        await service.publish({"action": "storage_count", "id": "count"})
        answers: list[Json] = []
        while not answers or answers[-1]["in_reply_to"] != "count":
            answers += await service.answers(1)
    again = answers[-10:-1]
    assert [replayed(one) for one in again] == [True, *[False] * 7, True]
    assert answers[-1]["result"] == 3


async def test_an_answer_larger_than_the_bound_is_given_alone() -> None:
    async with serving(RunnerLimits(answer_bytes=1000)) as service:
        service.bus.may_confirm.set()
        await service.publish([*map(get, range(5))])
        assert len(await service.answers(5)) == 5
    assert service.backend.batches == [1] * 5


async def test_small_records_are_read_by_the_hundred_and_large_ones_are_still_bounded() -> None:
    small: JsonValue = {"action": "storage_get", "payload": {"task_id": 2}}
    async with serving() as service:
        service.bus.may_confirm.set()
        await service.publish(save(1))
        await service.publish([small for _ in range(4)])
        await service.answers(5)
        service.backend.batches.clear()
        await service.publish([small for _ in range(32)])
        await service.answers(32)
        assert service.backend.batches == [16, 16]
        service.bus.may_confirm.clear()
        service.backend.given = 0
        for _ in range(3):
            await service.publish([get(number) for number in range(100)])
        await settled(lambda: service.backend.given > 0)
        assert service.backend.given <= 4 * _LIMIT
        service.bus.may_confirm.set()
        await service.answers(300)
        service.backend.batches.clear()
        await service.publish([get(number) for number in range(8)])
        await service.answers(8)
        assert service.backend.batches == [4, 4]


async def test_stopping_answers_the_parts_that_are_left() -> None:
    async with serving() as service:
        await service.publish([*map(get, range(40))])
        await settled(lambda: len(service.backend.batches) == 2)
        await service.runner.stop()
        service.bus.may_confirm.set()
        assert len(await service.answers(40)) == 40
