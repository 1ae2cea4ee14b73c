"""The runner: what a delivery leads to, and in which order."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from holdfast_agents import StorageAgent
from holdfast_agents.base.runner import Runner, RunnerLimits
from holdfast_backends import InMemoryBackend, UnavailableError
from holdfast_backends.operations import Operation
from holdfast_backends.outcomes import Outcome
from holdfast_protocol.bus.contract import Publication, ReplyDelivery
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.memory_broker import MemoryBroker
from holdfast_protocol.errors import TooLargeError
from holdfast_protocol.errors import UnavailableError as NotConfirmedError

Json = dict[str, JsonValue]


class ScriptedBackend(InMemoryBackend):
    """Keeps what it was asked in batches, and can be away or held up."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.outages = 0
        self.defect: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        self.entered.set()
        await self.gate.wait()
        if self.defect is not None:
            defect, self.defect = self.defect, None
            raise defect
        if self.outages:
            self.outages -= 1
            raise UnavailableError("the store cannot be reached")
        self.batches.append(len(operations))
        return await super().execute(operations)


class Caller:
    """A client that speaks bytes: publishes bodies and collects replies."""

    def __init__(self, bus: MemoryBus, address: str, replies: "asyncio.Queue[ReplyDelivery]"):
        self.bus = bus
        self.address = address
        self._replies = replies

    async def publish(
        self, body: JsonValue | bytes, *, reply_to: str | None = "", correlation_id: str = "c"
    ) -> None:
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        address = self.address if reply_to == "" else reply_to
        await self.bus.publish(Publication("storage.any", encoded, correlation_id, address))

    async def reply(self) -> JsonValue:
        value: JsonValue = json.loads((await asyncio.wait_for(self._replies.get(), 5)).body)
        return value

    async def ask(self, body: JsonValue | bytes) -> Json:
        await self.publish(body)
        answer = await self.reply()
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def running(
    backend: InMemoryBackend,
    limits: RunnerLimits | None = None,
    bus_type: type[MemoryBus] = MemoryBus,
) -> AsyncIterator[tuple[Caller, MemoryBroker, Runner]]:
    broker = MemoryBroker()
    replies: asyncio.Queue[ReplyDelivery] = asyncio.Queue()
    async with bus_type(broker=broker) as bus:
        runner = Runner(StorageAgent(backend), bus, limits=limits)
        await runner.start()
        serving = asyncio.create_task(runner.run())
        address = await bus.open_reply_address("test", replies.put_nowait)
        try:
            yield Caller(bus, address.address, replies), broker, runner
        finally:
            await runner.stop()
            await asyncio.wait_for(serving, 5)


def save(title: str, **envelope: JsonValue) -> Json:
    return {"action": "storage_save", "payload": {"task": {"title": title}}, **envelope}


async def test_a_message_is_answered_as_an_object() -> None:
    async with running(InMemoryBackend()) as (caller, _broker, _runner):
        answer = await caller.ask(save("x", id="m1", correlation_id="talk"))
    assert answer["status"] == "success"
    assert answer["in_reply_to"] == "m1"
    assert answer["correlation_id"] == "talk"
    assert answer["result"] == {"id": 1, "title": "x"}


async def test_an_array_is_answered_as_an_array() -> None:
    async with running(InMemoryBackend()) as (caller, _broker, _runner):
        await caller.publish([save("x", id="m1"), save("y", id="m2")])
        answers = await caller.reply()
    assert isinstance(answers, list)
    assert {answer["in_reply_to"] for answer in answers} == {"m1", "m2"}  # type: ignore[index,call-overload]


async def test_what_arrives_while_a_batch_runs_is_the_next_batch() -> None:
    backend = ScriptedBackend()
    backend.gate.clear()
    async with running(backend) as (caller, _broker, _runner):
        await caller.publish(save("first"))
        await asyncio.wait_for(backend.entered.wait(), 5)
        for number in range(10):
            await caller.publish(save(str(number)))
        backend.gate.set()
        for _ in range(11):
            await caller.reply()
    assert backend.batches == [1, 10]


async def test_a_batch_is_bounded() -> None:
    backend = ScriptedBackend()
    backend.gate.clear()
    limits = RunnerLimits(batch_messages=4)
    async with running(backend, limits) as (caller, _broker, _runner):
        await caller.publish(save("first"))
        await asyncio.wait_for(backend.entered.wait(), 5)
        for number in range(10):
            await caller.publish(save(str(number)))
        backend.gate.set()
        for _ in range(11):
            await caller.reply()
    assert backend.batches == [1, 4, 4, 2]


async def test_the_same_message_again_is_answered_again_and_takes_no_effect() -> None:
    async with running(InMemoryBackend()) as (caller, _broker, _runner):
        first = await caller.ask(save("x", id="m1", sender="me"))
        again = await caller.ask(save("x", id="m1", sender="me"))
        count = await caller.ask({"action": "storage_count"})
    assert again["result"] == first["result"]
    assert again["meta"] == {**first["meta"], "replayed": True}  # type: ignore[dict-item]
    assert count["result"] == 1


async def test_another_payload_under_the_same_id_is_a_conflict() -> None:
    async with running(InMemoryBackend()) as (caller, _broker, _runner):
        await caller.ask(save("x", id="m1"))
        again = await caller.ask(save("y", id="m1"))
    assert again["error_type"] == "conflict"


async def test_a_stored_failure_is_replayed() -> None:
    async with running(InMemoryBackend()) as (caller, _broker, _runner):
        update: Json = {
            "action": "storage_update",
            "id": "u",
            "payload": {"task_id": 1, "changes": {"a": 1}},
        }
        first = await caller.ask(update)
        await caller.ask(save("x"))
        again = await caller.ask(update)
    assert first["error_type"] == again["error_type"] == "not_found"
    assert again["meta"] == {"replayed": True}


async def test_a_store_that_is_away_for_a_moment_is_waited_for() -> None:
    backend = ScriptedBackend()
    backend.outages = 2
    async with running(backend) as (caller, _broker, _runner):
        answer = await caller.ask(save("x"))
    assert answer["status"] == "success"


async def test_a_store_that_stays_away_is_answered_as_unavailable() -> None:
    backend = ScriptedBackend()
    backend.outages = 1_000_000
    async with running(backend, RunnerLimits(retry_seconds=0.05)) as (caller, _broker, _runner):
        answer = await caller.ask(save("x"))
        backend.outages = 0
        after = await caller.ask(save("x"))
    assert answer["error_type"] == "unavailable"
    assert after["status"] == "success"


async def test_a_defect_is_answered_with_a_reference_and_nothing_of_the_inside() -> None:
    backend = ScriptedBackend()
    async with running(backend) as (caller, _broker, _runner):
        backend.defect = RuntimeError("secret /path SELECT 1")
        answer = await caller.ask(save("x"))
        after = await caller.ask(save("x"))
    assert answer["error_type"] == "internal_error"
    assert "reference" in answer["details"]  # type: ignore[operator]
    assert "secret" not in json.dumps(answer)
    assert after["status"] == "success"


async def test_replies_go_to_reply_queues_only() -> None:
    async with running(InMemoryBackend()) as (caller, broker, _runner):
        await caller.publish(save("x"), reply_to="holdfast.agent.storage")
        count = await caller.ask({"action": "storage_count"})
    assert [letter.headers["x-holdfast-reason"] for letter in broker.dead_letters] == [
        "forbidden_reply_to"
    ]
    assert count["result"] == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{broken", "validation_error"),
        ({"action": "storage_nothing"}, "unknown_action"),
        ({"action": "storage_get", "payload": {}}, "validation_error"),
        ({"action": "storage_count", "deadline": "2020-01-01T00:00:00Z"}, "expired"),
        ({"action": "storage_count", "recipient": "caching"}, "validation_error"),
    ],
)
async def test_what_is_refused_and_cannot_be_answered_is_a_dead_letter(
    body: JsonValue | bytes, reason: str
) -> None:
    async with running(InMemoryBackend()) as (caller, broker, _runner):
        await caller.publish(body, reply_to=None)
        await caller.ask({"action": "agent_ping"})
    assert [letter.headers["x-holdfast-reason"] for letter in broker.dead_letters] == [reason]


async def test_of_an_array_only_the_refused_message_is_a_dead_letter() -> None:
    async with running(InMemoryBackend()) as (caller, broker, _runner):
        await caller.publish([save("x"), {"action": "nothing"}], reply_to=None)
        count = await caller.ask({"action": "storage_count"})
    assert count["result"] == 1
    assert [json.loads(letter.body) for letter in broker.dead_letters] == [{"action": "nothing"}]


async def test_a_dead_letter_of_an_array_is_the_message_as_it_came() -> None:
    body = b'[{"action":"agent_ping"},  {"action": "x", "payload": {"a": "\\ud800", "b": 1e999}} ]'
    async with running(InMemoryBackend()) as (caller, broker, _runner):
        await caller.publish(body, reply_to=None)
        await caller.ask({"action": "agent_ping"})
    bodies = [letter.body for letter in broker.dead_letters]
    assert bodies == [b'{"action": "x", "payload": {"a": "\\ud800", "b": 1e999}}']


async def test_what_cannot_be_told_apart_is_buried_whole() -> None:
    body = b'[{"action": "x", "payload": {"n": ' + b"9" * 5_000 + b"}}, 1]"
    async with running(InMemoryBackend()) as (caller, broker, _runner):
        await caller.publish(body, reply_to=None)
        await caller.ask({"action": "agent_ping"})
    texts = [letter.body for letter in broker.dead_letters]
    assert texts == [b'{"action": "x", "payload": {"n": ' + b"9" * 5_000 + b"}}", b"1"]


async def test_stopping_does_not_wait_for_a_store_that_is_away() -> None:
    backend = ScriptedBackend()
    backend.outages = 1_000_000
    async with running(backend, RunnerLimits(retry_seconds=600)) as (caller, _broker, runner):
        await caller.publish(save("x"))
        await asyncio.wait_for(backend.entered.wait(), 5)
        await runner.stop()
        answer = await caller.reply()
    assert isinstance(answer, dict)
    assert answer["error_type"] == "unavailable"


async def test_while_the_store_stays_away_only_the_first_batch_waits_for_all_of_the_time() -> None:
    backend = ScriptedBackend()
    backend.outages = 1_000_000
    async with running(backend, RunnerLimits(retry_seconds=0.3)) as (caller, _broker, _runner):
        await caller.ask(save("x"))
        attempts = backend.outages
        await caller.ask(save("y"))
    assert attempts - backend.outages <= 4


async def test_a_ping_is_answered_while_the_store_is_waited_for() -> None:
    backend = ScriptedBackend()
    backend.gate.clear()
    async with running(backend) as (caller, _broker, _runner):
        await caller.publish(save("x"))
        await asyncio.wait_for(backend.entered.wait(), 5)
        answer = await caller.ask({"action": "agent_ping", "id": "p"})
        backend.gate.set()
        await caller.reply()
    assert answer["in_reply_to"] == "p"


async def test_bodies_in_hand_are_bounded_and_all_are_answered() -> None:
    backend = ScriptedBackend()
    async with running(backend, RunnerLimits(held_bytes=1_000)) as (caller, _broker, _runner):
        for number in range(10):
            await caller.publish([save("x" * 700, id=str(number)), {"action": "storage_count"}])
        for _ in range(10):
            await caller.reply()
        count = await caller.ask({"action": "storage_count"})
    assert count["result"] == 10


async def test_a_defect_is_met_by_its_own_message_alone() -> None:
    backend = DefectiveBackend()
    async with running(backend) as (caller, _broker, _runner):
        await caller.publish([save("fine", id="a"), save("defect", id="b"), save("fine", id="c")])
        answers = await caller.reply()
    assert isinstance(answers, list)
    outcomes = {a["in_reply_to"]: a.get("error_type") for a in answers if isinstance(a, dict)}
    assert outcomes == {"a": None, "b": "internal_error", "c": None}


class DefectiveBackend(InMemoryBackend):
    """Meets a defect wherever a certain document is."""

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        if any(b"defect" in getattr(operation, "encoded", b"") for operation in operations):
            raise ZeroDivisionError
        return await super().execute(operations)


async def test_a_deadline_that_passes_between_two_attempts_is_not_called_unexecuted() -> None:
    backend = ScriptedBackend()
    backend.outages = 1_000_000
    deadline = (datetime.now(UTC) + timedelta(seconds=0.2)).isoformat()
    async with running(backend, RunnerLimits(retry_seconds=1)) as (caller, _broker, _runner):
        answer = await caller.ask(save("x", deadline=deadline))
    assert answer["error_type"] == "unavailable"


async def test_a_failure_that_nobody_waits_for_is_no_dead_letter_once_it_was_executed() -> None:
    async with running(InMemoryBackend()) as (caller, broker, _runner):
        await caller.publish({"action": "storage_delete", "payload": {"task_id": 1}}, reply_to=None)
        await caller.ask({"action": "agent_ping"})
    assert not broker.dead_letters


async def test_what_could_not_be_done_in_time_and_cannot_be_answered_is_a_dead_letter() -> None:
    backend = ScriptedBackend()
    backend.outages = 1_000_000
    async with running(backend, RunnerLimits(retry_seconds=0.05)) as (caller, broker, _runner):
        await caller.publish(save("x"), reply_to=None)
        await caller.ask(save("y"))
    reasons = [letter.headers["x-holdfast-reason"] for letter in broker.dead_letters]
    assert reasons == ["unavailable"]


async def test_many_slow_reads_of_one_array_are_answered_in_parts() -> None:
    backend = ScriptedBackend()
    async with running(backend) as (caller, _broker, _runner):
        await caller.publish([{"action": "storage_list", "id": str(n)} for n in range(10)])
        answered: list[JsonValue] = []
        while len(answered) < 10:
            part = await caller.reply()
            assert isinstance(part, list)
            answered += [answer["in_reply_to"] for answer in part if isinstance(answer, dict)]
    assert answered == [str(number) for number in range(10)]
    assert max(backend.batches) < 10


async def test_a_read_in_an_array_sees_the_write_before_it() -> None:
    async with running(InMemoryBackend()) as (caller, _broker, _runner):
        await caller.publish([save("x", id="w"), {"action": "storage_count", "id": "r"}])
        answers = await caller.reply()
    assert isinstance(answers, list)
    results = {a["in_reply_to"]: a["result"] for a in answers if isinstance(a, dict)}
    assert results["r"] == 1


async def test_stopping_finishes_what_was_taken() -> None:
    backend = ScriptedBackend()
    backend.gate.clear()
    async with running(backend) as (caller, _broker, runner):
        await caller.publish(save("x"))
        await asyncio.wait_for(backend.entered.wait(), 5)
        await runner.stop()
        backend.gate.set()
        answer = await caller.reply()
    assert isinstance(answer, dict)
    assert answer["status"] == "success"


class FlakyBus(MemoryBus):
    """A bus whose first reply is not confirmed."""

    confirms = False

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        if not self.confirms:
            self.confirms = True
            raise NotConfirmedError("not confirmed")
        return await super().reply(address, body, correlation_id)


async def test_a_message_whose_reply_was_not_confirmed_comes_again_and_is_replayed() -> None:
    async with running(InMemoryBackend(), bus_type=FlakyBus) as (caller, _broker, _runner):
        answer = await caller.ask(save("x", id="m1"))
        count = await caller.ask({"action": "storage_count"})
    assert answer["meta"]["replayed"] is True  # type: ignore[index,call-overload]
    assert count["result"] == 1


class NarrowBus(MemoryBus):
    """A bus that takes only small replies."""

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        if len(body) > 1_000:
            raise TooLargeError("too large for this bus")
        return await super().reply(address, body, correlation_id)


async def test_an_answer_that_the_broker_does_not_take_is_told_in_its_place() -> None:
    async with running(InMemoryBackend(), bus_type=NarrowBus) as (caller, _broker, _runner):
        answer = await caller.ask(save("x" * 2_000, id="m1"))
    assert answer["error_type"] == "too_large"
    assert answer["in_reply_to"] == "m1"
