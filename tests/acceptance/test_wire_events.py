"""Change events of a real process, heard by a client that knows nothing but AMQP and JSON."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Served
from tests.acceptance.hearing import bound, hearing
from tests.acceptance.plain_client import PATIENCE, PlainClient, connected
from tests.acceptance.serving import serving
from tests.acceptance.shapes import MOMENT
from tests.acceptance.stores import DURABLE, temporary_store
from tests.services import unique_name

pytestmark = pytest.mark.amqp


@pytest.fixture
def collection() -> str:
    """A collection that no other test uses."""
    return unique_name()


def said(name: str, action: str, **payload: Any) -> dict[str, Any]:
    """A message whose sender is the test's own, so that no other's ids are its duplicates."""
    sender = payload.get("collection", "me")
    return {"id": name, "sender": sender, "action": action, "payload": payload}


async def changed(client: PlainClient, collection: str) -> None:
    """Create, update, delete, fail, repeat, undo and create again: six changes."""
    here = {"collection": collection}
    undone = [
        {"action": "storage_save", "payload": {"task": {}}},
        {"action": "storage_get", "payload": {"task_id": 99}},
    ]
    messages = [
        said("make", "storage_save", task={"title": "kelp"}, **here),
        said("fill", "storage_update", task_id=1, changes={"n": 1.0}, **here),
        said("fail", "storage_delete", task_id=99, **here),
        said("make", "storage_save", task={"title": "kelp"}, **here),
        said("undo", "storage_batch", operations=undone, **here),
        said("name", "storage_save", task={"id": "é.1"}, **here),
        said("read", "storage_list", **here),
        said("drop", "storage_delete", task_id=1, **here),
        said("again", "storage_save", task={"id": 1}, **here),
        {"action": "storage_save", "id": collection, "payload": {"task": {}, **here}},
    ]
    await client.ask_all(messages[:3])
    await client.ask(messages[3])
    await client.ask_all(messages[4:])


def events_of(collection: str) -> list[dict[str, Any]]:
    """What `changed` is told as, but for the moments."""
    me = collection
    told: list[tuple[str, Any, int, str, str, dict[str, Any]]] = [
        ("created", 1, 1, "make", me, {"id": 1, "title": "kelp"}),
        ("updated", 1, 2, "fill", me, {"id": 1, "title": "kelp", "n": 1.0}),
        ("created", "é.1", 1, "name", me, {"id": "é.1"}),
        ("deleted", 1, 2, "drop", me, {"id": 1, "title": "kelp", "n": 1.0}),
        ("created", 1, 3, "again", me, {"id": 1}),
        ("created", 2, 1, collection, "anonymous", {"id": 2}),
    ]
    return [
        {
            "id": f"{collection}/{sequence}",
            "collection": collection,
            "kind": kind,
            "record_id": record_id,
            "version": version,
            "sequence": sequence,
            "message_id": message_id,
            "sender": sender,
            "timestamp": "<moment>",
            "document": document,
        }
        for sequence, (kind, record_id, version, message_id, sender, document) in enumerate(told, 1)
    ]


def settled(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert all(MOMENT.fullmatch(event["timestamp"]) for event in events)
    return [event | {"timestamp": "<moment>"} for event in events]


def first_tellings(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the contract says: what is not above the highest sequence seen is ignored."""
    seen, kept = 0, []
    for event in events:
        if event["sequence"] > seen:
            seen = event["sequence"]
            kept.append(event)
    return kept


async def test_each_change_is_one_message_in_its_order(
    client: PlainClient, served: Served, collection: str
) -> None:
    exchange = f"{served.namespace}.events"
    async with hearing(served.bus, exchange, [f"{collection}.#"]) as heard:
        await changed(client, collection)
        events = await heard.until(lambda bodies: len(first_tellings(bodies)) == 6)
    assert settled(first_tellings(events)) == events_of(collection)
    assert heard.keys == [f"{collection}.{event['kind']}" for event in events]
    kept = await client.ask(said("kept", "storage_events", collection=collection))
    assert kept["result"] == first_tellings(events)
    assert kept["meta"] == {"first_sequence": 1, "last_sequence": 6}


async def test_a_binding_chooses_the_kind(
    client: PlainClient, served: Served, collection: str
) -> None:
    exchange = f"{served.namespace}.events"
    async with hearing(served.bus, exchange, [f"{collection}.deleted"]) as heard:
        await changed(client, collection)
        events = await heard.until(bool)
    assert settled(events[:1]) == [events_of(collection)[3]]


async def test_changes_come_as_arrays_without_a_gap(
    client: PlainClient, served: Served, collection: str
) -> None:
    exchange = f"{served.namespace}.changes"
    async with hearing(served.bus, exchange, [collection]) as heard:
        await changed(client, collection)
        saves = [
            said(f"n{n}", "storage_save", task={"n": n}, collection=collection) for n in range(900)
        ]
        await client.ask_all(saves)
        bodies = await heard.until(lambda bodies: bool(bodies) and _last(bodies) == 906)
    assert set(heard.keys) == {collection}
    assert all(isinstance(body, list) for body in bodies)
    events = first_tellings([event for body in bodies for event in body])
    assert settled(events[:6]) == events_of(collection)
    assert [event["sequence"] for event in events] == list(range(1, 907))
    for body in bodies:
        sequences = [event["sequence"] for event in body]
        assert sequences == list(range(sequences[0], sequences[0] + len(body)))


def _last(bodies: list[Any]) -> int:
    return max((event["sequence"] for body in bodies for event in body), default=0)


async def test_a_queue_that_is_full_stops_nobody_and_reads_the_rest(
    client: PlainClient, served: Served, collection: str
) -> None:
    exchange = f"{served.namespace}.events"
    full: dict[str, Any] = {"x-max-length": 2, "x-overflow": "reject-publish"}
    async with (
        bound(served.bus, exchange, [f"{collection}.#"], **full) as queue,
        hearing(served.bus, exchange, [f"{collection}.#"]) as heard,
    ):
        await changed(client, collection)
        events = await heard.until(lambda bodies: len(first_tellings(bodies)) == 6)
        assert settled(first_tellings(events)) == events_of(collection)
        async with asyncio.timeout(PATIENCE):
            first = await queue.get(no_ack=True, fail=True)
        assert first.routing_key == f"{collection}.created"
    rest = await client.ask(said("rest", "storage_events", collection=collection, after=1))
    assert settled(rest["result"]) == events_of(collection)[1:]


async def test_positions_tell_how_far_each_collection_has_come(
    client: PlainClient, collection: str
) -> None:
    await changed(client, collection)
    positions = (await client.ask(said("p", "storage_positions")))["result"]
    assert {"collection": collection, "sequence": 6} in positions
    assert not [entry for entry in positions if entry["collection"].startswith("$")]


async def test_reading_is_bounded_and_goes_on_where_it_ended(
    client: PlainClient, collection: str
) -> None:
    large = "x" * (900 * 1024)
    for n in range(12):
        await client.ask(said(f"l{n}", "storage_save", task={"t": large}, collection=collection))
    seen: list[int] = []
    while len(seen) < 12:
        asked = said("page", "storage_events", collection=collection, after=len(seen), limit=1000)
        answer = await client.ask(asked)
        found = [event["sequence"] for event in answer["result"]]
        assert 0 < len(found) < 12
        assert answer["meta"] == {"first_sequence": 1, "last_sequence": 12}
        seen += found
    assert seen == list(range(1, 13))


@pytest.mark.parametrize("kind", DURABLE)
async def test_what_expires_is_told_and_what_is_old_is_pruned(
    amqp_url: str, kind: str, tmp_path: Path
) -> None:
    name = unique_name()
    settings = {"HOLDFAST_SWEEP_SECONDS": "0.1", "HOLDFAST_EVENT_RETENTION_HOURS": "0.0001"}
    async with (
        temporary_store(kind, tmp_path) as store,
        serving(amqp_url, store, name, **settings),
        connected(amqp_url, name) as client,
        hearing(amqp_url, f"{name}.events", ["#"]) as heard,
    ):
        await client.ask(said("short", "storage_save", task={"n": 1}, ttl_seconds=0.3))
        _created, ended = (await heard.until(lambda bodies: len(bodies) >= 2))[:2]
        assert (ended["kind"], ended["version"], ended["document"]) == (
            *("deleted", 1),
            {"id": 1, "n": 1},
        )
        assert (ended["message_id"], ended["sender"]) == (None, None)
        gone = await _until_pruned(client)
        assert gone["details"] == {"first_sequence": 3}
        assert "after 2" in gone["error"]
        rest = await client.ask(said("rest", "storage_events", after=2))
        assert rest["result"] == []
        assert rest["meta"] == {"first_sequence": 3, "last_sequence": 2}


async def _until_pruned(client: PlainClient) -> Any:
    """The answer when nothing is kept any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await client.ask(said("all", "storage_events", after=1))
            if answer["status"] == "error":
                assert answer["error_type"] == "not_found"
                if answer["details"]["first_sequence"] == 3:
                    return answer


async def test_without_events_changes_are_only_counted(amqp_url: str, tmp_path: Path) -> None:
    name = unique_name()
    async with (
        temporary_store("sqlite", tmp_path) as store,
        serving(amqp_url, store, name, HOLDFAST_EVENTS="false"),
        connected(amqp_url, name) as client,
    ):
        answer = await client.ask(said("one", "storage_save", task={}))
        assert answer["meta"]["sequence"] == 1
        positions = await client.ask(said("p", "storage_positions"))
        assert positions["result"] == [{"collection": "tasks", "sequence": 1}]
        gone = await client.ask(said("all", "storage_events"))
        assert (gone["error_type"], gone["details"]) == ("not_found", {"first_sequence": 2})
