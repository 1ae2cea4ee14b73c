"""The typed helpers: what they ask, what they give back, what they raise."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import pytest
from pydantic import JsonValue

from holdfast_protocol import (
    AgentClient,
    ConflictError,
    Fence,
    InternalError,
    NotFoundError,
    ValidationError,
)
from holdfast_protocol.actions import ACTIONS, parse_payload
from holdfast_protocol.client import Record
from tests.unit.client.responder import TIMES, failing, giving
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time

Use: TypeAlias = Callable[[AgentClient], Awaitable[object]]

FENCE = Fence(lock="x", token=7)
CASES: Sequence[tuple[Use, str, Mapping[str, object]]] = [
    (lambda c: c.storage.save({"a": 1}), "storage_save", {"task": {"a": 1}}),
    (
        lambda c: c.storage.save({"id": 7}, collection="u", if_version=0, ttl_seconds=1.5),
        "storage_save",
        {"task": {"id": 7}, "collection": "u", "if_version": 0, "ttl_seconds": 1.5},
    ),
    (lambda c: c.storage.get("x"), "storage_get", {"task_id": "x"}),
    (
        lambda c: c.storage.get(7, collection="u"),
        "storage_get",
        {"task_id": 7, "collection": "u"},
    ),
    (
        lambda c: c.storage.update(7, {"a": None}),
        "storage_update",
        {"task_id": 7, "changes": {"a": None}},
    ),
    (
        lambda c: c.storage.update(
            7, increment={"n": 1}, append={"l": (1, 2)}, collection="u", if_version=2
        ),
        "storage_update",
        {
            "task_id": 7,
            "increment": {"n": 1},
            "append": {"l": [1, 2]},
            "collection": "u",
            "if_version": 2,
        },
    ),
    (
        lambda c: c.storage.save({"a": 1}, fence=FENCE),
        "storage_save",
        {"task": {"a": 1}, "fence": {"lock": "x", "token": 7}},
    ),
    (
        lambda c: c.storage.update(7, {"a": 1}, fence=FENCE),
        "storage_update",
        {"task_id": 7, "changes": {"a": 1}, "fence": {"lock": "x", "token": 7}},
    ),
    (
        lambda c: c.storage.delete(7, fence=FENCE),
        "storage_delete",
        {"task_id": 7, "fence": {"lock": "x", "token": 7}},
    ),
    (
        lambda c: c.storage.delete(7, if_version=3),
        "storage_delete",
        {"task_id": 7, "if_version": 3},
    ),
]


@pytest.mark.parametrize(("use", "action", "payload"), CASES)
def test_a_helper_asks_for_one_record(use: Use, action: str, payload: Mapping[str, object]) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene(giving({"id": 7, "title": "x"}, TIMES)) as at:
            record = await use(at.client)
            assert isinstance(record, Record)
            assert record.document == {"id": 7, "title": "x"}
            (message,) = at.agent.received[0].messages
            assert (message.action, message.payload) == (action, payload)
            parse_payload(ACTIONS[action], message.payload)

    run()


@in_virtual_time
async def test_a_record_knows_its_facts() -> None:
    meta: dict[str, JsonValue] = {
        **TIMES,
        "created": True,
        "replayed": True,
        "expires_at": "2026-01-03T00:00:00Z",
        "sequence": 17,
    }
    async with scene(giving({"id": 7, "title": "x", "none": None}, meta)) as at:
        record = await at.client.storage.save({"title": "x"})
    assert (record.id, record.version, record.created, record.replayed) == (7, 3, True, True)
    assert record.sequence == 17
    assert record.created_at == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert record.updated_at == datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
    assert record.expires_at == datetime(2026, 1, 3, tzinfo=UTC)
    assert (record["title"], record.get("none", 1), record.get("other", 1)) == ("x", None, 1)
    assert ("title" in record, "other" in record, list(record)) == (
        True,
        False,
        ["id", "title", "none"],
    )
    with pytest.raises(KeyError):
        record["other"]


def test_a_record_without_facts_says_so() -> None:
    record = Record({"id": True})
    assert (record.expires_at, record.created, record.replayed) == (None, None, False)
    assert record.sequence is None
    for fact in ("id", "version", "created_at", "updated_at"):
        with pytest.raises(InternalError, match=fact):
            getattr(record, fact)
    with pytest.raises(InternalError, match="created_at"):
        _ = Record({}, {"created_at": "yesterday"}).created_at


@pytest.mark.parametrize(
    ("error_type", "error"),
    [
        ("not_found", NotFoundError),
        ("conflict", ConflictError),
        ("validation_error", ValidationError),
    ],
)
def test_an_answered_error_is_raised_as_its_class(error_type: str, error: type[Exception]) -> None:
    uses: list[Use] = [
        lambda c: c.storage.save({}),
        lambda c: c.storage.get(1),
        lambda c: c.storage.list(),
        lambda c: c.storage.query(),
        lambda c: c.storage.count(),
        lambda c: c.storage.batch().get(1).run(),
        lambda c: c.storage.index(),
        lambda c: c.storage.collections(),
        lambda c: c.ping("storage"),
        lambda c: c.describe("storage"),
        lambda c: c.stats("storage"),
    ]

    @in_virtual_time
    async def run() -> None:
        async with scene(failing(error_type, {"a": 1})) as at:
            for use in uses:
                with pytest.raises(error) as caught:
                    await use(at.client)
                assert getattr(caught.value, "details", None) == {"a": 1}

    run()


def test_an_answer_that_breaks_the_contract_is_an_internal_error() -> None:
    uses: list[Use] = [
        lambda c: c.storage.save({}),
        lambda c: c.storage.list(),
        lambda c: c.storage.count(),
        lambda c: c.storage.batch().get(1).run(),
        lambda c: c.storage.index(),
        lambda c: c.storage.collections(),
        lambda c: c.ping("storage"),
        lambda c: c.describe("storage"),
        lambda c: c.stats("storage"),
    ]

    @in_virtual_time
    async def run(answer: JsonValue) -> None:
        async with scene(giving(answer)) as at:
            for use in uses:
                with pytest.raises(InternalError, match="contract"):
                    await use(at.client)

    answers: list[JsonValue] = [None, "text", True, [1]]
    for answer in answers:
        run(answer)


@in_virtual_time
async def test_options_accompany_a_helper() -> None:
    async with scene(giving({"id": 1})) as at:
        await at.client.storage.save(
            {}, message_id="m", correlation_id="c", metadata={"k": 1}, deadline=60
        )
        (message,) = at.agent.received[0].messages
        assert (message.id, message.correlation_id, message.metadata) == ("m", "c", {"k": 1})
        assert message.deadline is not None


@in_virtual_time
async def test_counting() -> None:
    async with scene(giving(42)) as at:
        assert await at.client.storage.count({"a": 1}, collection="u") == 42
        (message,) = at.agent.received[0].messages
        assert message.payload == {"filters": {"a": 1}, "collection": "u"}


@in_virtual_time
async def test_indexes_and_collections() -> None:
    async with scene(giving({"paths": ["a"], "ready": True})) as at:
        state = await at.client.storage.index(["a"], collection="u")
        assert (state.paths, state.ready) == (["a"], True)
        await at.client.storage.index()
        payloads = [received.messages[0].payload for received in at.agent.received]
        assert payloads == [{"paths": ["a"], "collection": "u"}, {}]
    async with scene(giving([{"collection": "u", "count": 3}])) as at:
        (one,) = await at.client.storage.collections()
        assert (one.collection, one.count) == ("u", 3)


@in_virtual_time
async def test_what_every_agent_answers() -> None:
    now = "2026-01-02T03:04:05Z"
    async with scene(
        giving({"agent": "storage", "timestamp": now}),
        giving(
            {
                "agent": "storage",
                "version": "1",
                "actions": [
                    {
                        "action": "x",
                        "summary": "s",
                        "writes": False,
                        "payload": {},
                        "result": {},
                    }
                ],
            }
        ),
        giving({"agent": "storage", "started_at": now, "uptime_seconds": 5, "counters": {"a": 1}}),
    ) as at:
        assert (await at.client.ping("storage")).timestamp == datetime(
            2026, 1, 2, 3, 4, 5, tzinfo=UTC
        )
        assert (await at.client.describe("storage")).actions[0].action == "x"
        assert (await at.client.stats("storage")).counters == {"a": 1}
        actions = [received.messages[0].action for received in at.agent.received]
        assert actions == ["agent_ping", "agent_describe", "agent_stats"]
