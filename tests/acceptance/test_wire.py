"""The wire contract against a real process, by a client that knows nothing but AMQP and JSON."""

import asyncio
import json
from typing import Any

import pytest

from tests.acceptance.conftest import Served
from tests.acceptance.plain_client import PlainClient, connected, queue_of, take_one
from tests.acceptance.shapes import MOMENT, error, settled, success
from tests.services import BrokerApi, unique_name

pytestmark = pytest.mark.amqp
META = {"version": 1, "created_at": "<moment>", "updated_at": "<moment>", "sequence": 1}


def save(collection: str, task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A message whose sender is the test's own, so that no other's ids are its duplicates."""
    payload = {"task": task, "collection": collection}
    return {"action": "storage_save", "payload": payload, "sender": collection, **fields}


@pytest.fixture
def collection() -> str:
    """A collection that no other test uses."""
    return unique_name()


async def count(client: PlainClient, collection: str) -> Any:
    said = {"action": "storage_count", "payload": {"collection": collection}}
    return (await client.ask(said))["result"]


# -- envelopes -----------------------------------------------------------------------------------


async def test_the_first_exchange_of_the_contract_happens_to_the_letter(
    client: PlainClient,
) -> None:
    """The one exchange in the default collection of this store; all others have their own."""
    body = (
        b'{"action": "storage_save", "payload": {"task": {"title": "Water the kelp"}}, '
        b'"id": "b7c1", "sender": "me"}'
    )
    answer = await client.ask(body, "storage.storage_save", correlation_id="mine")
    assert settled(answer) == success(
        "b7c1", {"id": 1, "title": "Water the kelp"}, META | {"created": True}
    )


async def test_the_envelopes_correlation_id_is_echoed_and_the_propertys_carries_the_reply(
    client: PlainClient, collection: str
) -> None:
    said = save(collection, {}, id="m1", correlation_id="conversation 7")
    answer = await client.ask(said, correlation_id="property")
    assert settled(answer) == success(
        "m1", {"id": 1}, META | {"created": True}, correlation_id="conversation 7"
    )


async def test_all_optional_fields_of_a_message_are_accepted_and_null_means_absent(
    client: PlainClient, collection: str
) -> None:
    full = save(
        collection,
        {"id": None, "a": 1},
        id="full",
        sender="me",
        recipient="storage",
        correlation_id="c",
        causation_id="cause",
        timestamp="2026-11-20T08:00:00.123456789+01:00",
        deadline="2999-01-01T00:00:00Z",
        metadata={"any": [1, {"thing": None}]},
        schema_version="1",
    )
    absent = ("id", "recipient", "correlation_id", "timestamp", "deadline", "metadata")
    bare = save(collection, {"a": 2}) | dict.fromkeys(absent)
    assert (await client.ask(full))["result"] == {"id": 1, "a": 1}
    assert (await client.ask(bare))["result"] == {"id": 2, "a": 2}


async def test_a_single_object_takes_its_id_from_the_amqp_message_id(
    client: PlainClient, collection: str
) -> None:
    said = save(collection, {"a": 1}, sender="me")
    first = await client.ask(said, message_id="from-amqp")
    again = await client.ask(said, message_id="from-amqp")
    assert first["in_reply_to"] == again["in_reply_to"] == "from-amqp"
    assert again["meta"] == first["meta"] | {"replayed": True}
    assert await count(client, collection) == 1


async def test_the_amqp_message_id_is_no_default_in_an_array(
    client: PlainClient, collection: str
) -> None:
    said = [save(collection, {}), save(collection, {})]
    answers = await client.ask(said, message_id="from-amqp")
    ids = {answer["in_reply_to"] for answer in answers}
    assert len(ids) == 2
    assert "from-amqp" not in ids


async def test_a_user_id_that_the_broker_vouches_for_wins_over_the_sender(
    client: PlainClient, collection: str, rabbitmq_api: BrokerApi
) -> None:
    said = save(collection, {"a": 1}, id="same")
    await client.ask(said | {"sender": "one"}, user_id=rabbitmq_api.user)
    vouched = await client.ask(said | {"sender": "another"}, user_id=rabbitmq_api.user)
    assert vouched["meta"]["replayed"] is True
    claimed = await client.ask(said | {"sender": "another"})
    assert "replayed" not in claimed["meta"]


async def test_the_same_message_twice_has_one_effect_and_another_payload_is_a_conflict(
    client: PlainClient, collection: str
) -> None:
    said = save(collection, {"n": 1}, id="twice", sender="me")
    first = await client.ask(said)
    again = await client.ask(said | {"correlation_id": "later"})
    assert settled(again) == settled(first) | {
        "meta": settled(first)["meta"] | {"replayed": True},
        "correlation_id": "later",
    }
    assert again["id"] != first["id"]
    other = await client.ask(save(collection, {"n": 2}, id="twice", sender="me"))
    assert (other["error_type"], other["in_reply_to"]) == ("conflict", "twice")
    assert await count(client, collection) == 1


async def test_duplicates_at_the_same_moment_have_one_effect(
    client: PlainClient, collection: str
) -> None:
    said = save(collection, {"n": 1}, id="at-once", sender="me")
    answers = await asyncio.gather(*(client.ask(said) for _ in range(20)))
    assert {json.dumps(answer["result"]) for answer in answers} == {'{"id": 1, "n": 1}'}
    assert sum("replayed" not in answer["meta"] for answer in answers) == 1
    assert await count(client, collection) == 1


# -- arrays --------------------------------------------------------------------------------------


async def test_an_array_is_answered_by_arrays_and_an_object_by_an_object(
    client: PlainClient, collection: str
) -> None:
    bodies: list[Any] = []
    said = [save(collection, {"n": n}, id=f"m{n}") for n in range(1000)]
    answers = await client.ask_all(said, bodies=bodies)
    assert all(isinstance(body, list) for body in bodies)
    assert sum(len(body) for body in bodies) == 1000
    assert [answers[f"m{n}"]["result"] for n in range(1000)] == [
        {"id": n + 1, "n": n} for n in range(1000)
    ]
    assert isinstance(await client.ask([save(collection, {})]), list)
    assert isinstance(await client.ask(save(collection, {})), dict)


async def test_the_messages_of_an_array_are_independent(
    client: PlainClient, collection: str
) -> None:
    said = [
        save(collection, {"n": 1}, id="good"),
        save(collection, {"n": 1}, id="bad", colour="blue"),
        {"action": "storage_get", "id": "none", "payload": {"task_id": 99, "record_id": 99}},
        {"action": "storage_dance", "id": "unknown"},
        save(collection, {"n": 2}, id="also good"),
    ]
    answers = await client.ask_all(said)
    kinds = {key: answer.get("error_type", "success") for key, answer in answers.items()}
    assert kinds == {
        "good": "success",
        "bad": "validation_error",
        "none": "validation_error",
        "unknown": "unknown_action",
        "also good": "success",
    }
    assert answers["also good"]["result"] == {"id": 2, "n": 2}


async def test_messages_on_the_same_record_take_effect_in_the_arrays_order(
    client: PlainClient, collection: str
) -> None:
    one = {"task_id": "x", "collection": collection}
    said: list[dict[str, Any]] = [
        save(collection, {"id": "x", "log": []}, id="0"),
        *(
            {"action": "storage_update", "id": str(n), "payload": one | {"append": {"log": [n]}}}
            for n in range(1, 30)
        ),
        {"action": "storage_get", "id": "last", "payload": one},
    ]
    answers = await client.ask_all(said)
    assert answers["last"]["result"] == {"id": "x", "log": list(range(1, 30))}
    assert answers["last"]["meta"]["version"] == 30


async def test_answers_larger_than_a_response_come_in_parts_and_none_is_dropped(
    client: PlainClient, collection: str
) -> None:
    large = "x" * (1000 * 1024)
    saved = [save(collection, {"id": n, "text": large}, id=f"s{n}") for n in range(1, 13)]
    bodies: list[Any] = []
    answers = await client.ask_all(saved, bodies=bodies)
    assert {answer["status"] for answer in answers.values()} == {"success"}
    gets: list[dict[str, Any]] = [
        {
            "action": "storage_get",
            "id": f"g{n}",
            "payload": {"task_id": n, "collection": collection},
        }
        for n in range(1, 13)
    ]
    answers = await client.ask_all(gets, bodies=bodies)
    assert [answers[f"g{n}"]["result"]["id"] for n in range(1, 13)] == list(range(1, 13))
    assert all(len(json.dumps(body)) <= 10 * 1024 * 1024 for body in bodies)

    page = await client.ask({"action": "storage_list", "payload": {"collection": collection}})
    assert 0 < len(page["result"]) < 12
    rest = {"collection": collection, "cursor": page["meta"]["next_cursor"]}
    last = await client.ask({"action": "storage_list", "payload": rest})
    assert [d["id"] for d in page["result"] + last["result"]] == list(range(1, 13))
    assert last["meta"]["next_cursor"] is None
    batch = [{"action": "storage_get", "payload": {"task_id": n}} for n in range(1, 13)]
    said = {"collection": collection, "operations": batch}
    refused = await client.ask({"action": "storage_batch", "payload": said})
    assert refused["error_type"] == "too_large"


# -- errors --------------------------------------------------------------------------------------


async def test_errors_say_what_where_and_of_which_type(
    client: PlainClient, collection: str
) -> None:
    here = {"collection": collection}
    told: dict[str, dict[str, Any]] = {
        "unknown": {"action": "storage_dance"},
        "missing": {"action": "storage_get", "payload": {"task_id": 7}},
        "missing elsewhere": {"action": "storage_get", "payload": here | {"task_id": 7}},
        "version": {
            "action": "storage_save",
            "payload": here | {"task": {"id": 7}, "if_version": 3},
        },
        "late": save(collection, {}, deadline="2020-01-01T00:00:00Z"),
        "misaddressed": save(collection, {}, recipient="greeting"),
    }
    answers = await client.ask_all(said | {"id": key} for key, said in told.items())
    assert settled(answers["unknown"]) == error(
        "unknown", "unknown_action", "Unknown action: storage_dance"
    )
    assert answers["missing"]["error_type"] == "not_found"
    assert answers["missing"]["error"] == "Task with ID 7 not found"
    assert answers["missing elsewhere"]["error"] == f"{collection} record 7 not found"
    assert answers["version"]["error_type"] == "conflict"
    assert answers["version"]["details"]["current_version"] == 0
    assert answers["late"]["error_type"] == "expired"
    assert answers["misaddressed"]["error_type"] == "validation_error"
    assert answers["misaddressed"]["details"]["errors"][0]["loc"] == ["recipient"]
    assert await count(client, collection) == 0


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (b'{"action": "storage_save", "payload": {"task": {}}, "colour": 1}', ["colour"]),
        (b'{"action": "storage_save", "payload": {"task": {}, "colour": 1}}', ["colour"]),
        (b'{"action": "storage_save", "payload": {"task": {"a": 1, "a": 2}}}', ["payload", "task"]),
        (b'{"action": "storage_save", "payload": {"task": {"a": "\\ud800"}}}', ["payload", "task"]),
        (b'{"action": "storage_save", "payload": {"task": {"a": "\\u0000"}}}', ["payload", "task"]),
        (b'{"action": "storage_save", "payload": {"task": {"a": 1e400}}}', ["payload", "task"]),
        (b'{"action": "storage_save", "payload": {"task": {"a": 9223372036854775808}}}', None),
        (b'{"action": "Storage Save"}', ["action"]),
        (b'{"payload": {}}', ["action"]),
        (b'{"action": "agent_ping", "schema_version": "2"}', ["schema_version"]),
    ],
)
async def test_a_message_that_is_wrong_in_itself_is_refused_with_its_place(
    client: PlainClient, body: bytes, loc: list[str] | None
) -> None:
    answer = await client.ask(body, message_id="m1", correlation_id="c")
    assert (answer["status"], answer["error_type"]) == ("error", "validation_error")
    assert answer["in_reply_to"] == "m1"
    place = answer["details"]["errors"][0]["loc"]
    assert place[: len(loc or [])] == (loc or [])
    assert place


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (b"{", "validation_error"),
        (b"", "validation_error"),
        (b"[]", "validation_error"),
        (b'"text"', "validation_error"),
        (b"NaN", "validation_error"),
        (b'{"action": "agent_ping"} trailing', "validation_error"),
        (b'\xff\xfe{"action": "agent_ping"}', "validation_error"),
        (b'{"action": "\xff"}', "validation_error"),
        (b"[" * 100_000, "validation_error"),
        (json.dumps([{"action": "agent_ping"}] * 1001).encode(), "too_large"),
        (b" " * (16 * 1024 * 1024 + 1), "too_large"),
    ],
    ids=lambda value: value[:12].decode(errors="replace") if isinstance(value, bytes) else value,
)
async def test_a_body_that_cannot_be_read_is_refused_whole_by_one_object(
    client: PlainClient, body: bytes, error_type: str
) -> None:
    answer = await client.ask(body, message_id="told")
    assert (answer["status"], answer["error_type"]) == ("error", error_type)
    assert (answer["in_reply_to"], answer["correlation_id"]) == ("told", None)
    assert answer["details"]["errors"]
    assert (await client.ask({"action": "agent_ping"}))["status"] == "success"


# -- reply addresses -----------------------------------------------------------------------------


async def test_a_message_without_reply_to_is_processed_and_not_answered(
    client: PlainClient, collection: str
) -> None:
    heard: list[Any] = []
    client.listener = heard.append
    said = json.dumps(save(collection, {"n": 1}, id="quiet", sender="me")).encode()
    await client.publish(said)
    # The queue is first in, first out: when this is answered, that was processed.
    marker = await client.ask(save(collection, {"n": 1}, id="quiet", sender="me"))
    assert marker["meta"]["replayed"] is True
    assert [answer["in_reply_to"] for answer in heard] == ["quiet"]


async def test_a_forbidden_reply_address_is_a_dead_letter_and_nothing_is_executed(
    client: PlainClient, served: Served, collection: str
) -> None:
    said = json.dumps(save(collection, {}, id="forged")).encode()
    victim = f"{served.namespace}.agent.storage"
    await client.publish(
        said, "storage.storage_save", reply_to=victim, headers={"x-holdfast-reason": "forged"}
    )
    async with queue_of(served.bus, f"{served.namespace}.dead-letters") as queue:
        dead = await take_one(queue)
    assert dead.body == said
    assert dead.headers["x-holdfast-reason"] == "forbidden_reply_to"
    assert dead.headers["x-holdfast-agent"] == "storage"
    assert str(dead.headers["x-holdfast-error"])
    assert MOMENT.fullmatch(str(dead.headers["x-holdfast-at"]))
    assert await count(client, collection) == 0


async def test_what_nobody_can_be_told_of_is_a_dead_letter(
    client: PlainClient, served: Served
) -> None:
    await client.publish(b"{broken", "storage.storage_save")
    async with queue_of(served.bus, f"{served.namespace}.dead-letters") as queue:
        dead = await take_one(queue)
    assert dead.body == b"{broken"
    assert dead.headers["x-holdfast-reason"] == "validation_error"


async def test_the_brokers_direct_replies_are_an_address(served: Served, collection: str) -> None:
    async with connected(served.bus, served.namespace, direct=True) as client:
        answer = await client.ask(save(collection, {"n": 1}, id="direct"))
        assert answer["result"] == {"id": 1, "n": 1}
        assert len(await client.ask_all([save(collection, {}, id=str(n)) for n in range(50)])) == 50


async def test_replies_to_somebody_who_is_gone_harm_nobody(
    client: PlainClient, served: Served, collection: str
) -> None:
    gone = f"{served.namespace}.reply.gone.1"
    for n in range(20):
        said = json.dumps(save(collection, {"n": n}, id=f"to-{n}", sender="me")).encode()
        await client.publish(said, reply_to=gone, correlation_id="x")
    # Writes take effect in the order of the queue; a ping or a count may overtake them.
    await client.ask(save(collection, {"n": 20}, id="last", sender="me"))
    assert await count(client, collection) == 21
