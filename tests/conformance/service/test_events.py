"""Change events from a write to a subscriber, on each backend and both buses."""

import asyncio

import pytest

from holdfast_backends.operations import Save
from holdfast_protocol import NotFoundError
from holdfast_protocol.bus.contract import Broadcast
from holdfast_protocol.events import decode_events
from holdfast_protocol.ids import uuid7
from tests.conformance.service.scene import Scene, soon, take


async def test_every_change_reaches_a_subscriber_in_sequence(scene: Scene) -> None:
    async with scene.service(), scene.client() as client, client.subscribe("tasks.*") as events:
        saved = await client.storage.save({"title": "Water the kelp"})
        await client.storage.update(saved.id, changes={"done": True})
        await client.storage.delete(saved.id)
        told = await take(events, 3)
    assert [(event.kind, event.sequence, event.version) for event in told] == [
        ("created", 1, 1),
        ("updated", 2, 2),
        ("deleted", 3, 2),
    ]
    assert [event.document for event in told] == [
        {"id": 1, "title": "Water the kelp"},
        {"id": 1, "title": "Water the kelp", "done": True},
        {"id": 1, "title": "Water the kelp", "done": True},
    ]
    assert {(event.record_id, event.sender) for event in told} == {(1, "tester")}


async def test_an_event_names_the_message_that_made_it(scene: Scene) -> None:
    async with scene.service(), scene.client() as client, client.subscribe("tasks.*") as events:
        await client.storage.save({"n": 1}, message_id="the first")
        (event,) = await take(events, 1)
    assert (event.id, event.message_id) == ("tasks/1", "the first")


async def test_an_answer_tells_the_sequence_of_its_change(scene: Scene) -> None:
    async with scene.service(), scene.client() as client:
        saved = [await client.storage.save({"n": n}) for n in range(3)]
        response = await client.request("storage", "storage_get", {"task_id": 1})
    assert [record.sequence for record in saved] == [1, 2, 3]
    assert response.meta["sequence"] == 3


async def test_writes_without_an_effect_tell_nothing(scene: Scene) -> None:
    async with scene.service(), scene.client() as client, client.subscribe("#") as events:
        await client.storage.save({"id": 1}, message_id="m")
        await client.storage.save({"id": 1}, message_id="m")  # a duplicate
        await client.request("storage", "storage_delete", {"task_id": 9})
        operations = [
            {"action": "storage_save", "payload": {"task": {"id": 2}}},
            {"action": "storage_delete", "payload": {"task_id": 9}},
        ]
        await client.request("storage", "storage_batch", {"operations": operations})
        await client.storage.save({"id": 3})
        told = await take(events, 2)
    assert [(event.record_id, event.sequence) for event in told] == [(1, 1), (3, 2)]


async def test_kinds_and_collections_are_chosen_by_pattern(scene: Scene) -> None:
    async with (
        scene.service(),
        scene.client() as client,
        client.subscribe("*.deleted") as deleted,
        client.subscribe("notes.*") as notes,
    ):
        for collection in ("tasks", "notes"):
            saved = await client.storage.save({}, collection=collection)
            await client.storage.delete(saved.id, collection=collection)
        gone = await take(deleted, 2)
        noted = await take(notes, 2)
    assert {event.collection for event in gone} == {"tasks", "notes"}
    assert {event.kind for event in gone} == {"deleted"}
    assert [(event.collection, event.kind) for event in noted] == [
        ("notes", "created"),
        ("notes", "deleted"),
    ]


async def test_a_subscription_can_start_at_a_sequence(scene: Scene) -> None:
    async with scene.service(), scene.client() as client:
        for number in range(5):
            await client.storage.save({"n": number})
        async with client.subscribe("tasks.*", after=2) as events:
            told = await take(events, 3)
            await client.storage.save({"n": 5})
            told += await take(events, 1)
    assert [event.sequence for event in told] == [3, 4, 5, 6]


async def test_a_start_that_is_pruned_says_from_where_one_can_start(scene: Scene) -> None:
    brief = scene.options.backend_options
    kept = type(brief)(allow_unsafe=True, event_retention_seconds=0.000001)
    # Nothing is pushed: what still were on its way would be heard instead of fetched.
    serving = scene.service(backend_options=kept, publish_events=False)
    async with serving as service, scene.client() as client:
        for number in range(3):
            await client.storage.save({"n": number})
        async with client.subscribe("tasks.*", after=0) as events:
            await take(events, 3)

        await service.backend.sweep()
        with pytest.raises(NotFoundError, match="you can start after 3") as refusal:
            async with client.subscribe("tasks.*", after=1) as events:
                await soon(anext(events))
    assert refusal.value.details["first_sequence"] == 4


async def test_expiry_is_told_as_a_deletion_by_nobody(scene: Scene) -> None:
    async with (
        scene.service(sweep_seconds=0.05),
        scene.client() as client,
        client.subscribe("tasks.*") as events,
    ):
        saved = await client.storage.save({"n": 1}, ttl_seconds=0.05)
        told = await take(events, 2)
        count = await client.storage.count()
        with pytest.raises(NotFoundError):
            await client.storage.get(saved.id)
    assert [(event.kind, event.sender) for event in told] == [
        ("created", "tester"),
        ("deleted", None),
    ]
    assert (told[1].document, count) == ({"id": 1, "n": 1}, 0)


async def test_an_event_alone_is_announced_to_plain_consumers(scene: Scene) -> None:
    heard: asyncio.Queue[Broadcast] = asyncio.Queue()
    async with scene.service() as service, scene.client() as client:
        await service.bus.listen("events", ["tasks.*"], heard.put_nowait)
        for number in range(20):
            await client.storage.save({"n": number})
        await client.storage.delete(7)
        told = [await soon(heard.get()) for _ in range(21)]
    keys = [broadcast.routing_key for broadcast in told]
    assert keys == ["tasks.created"] * 20 + ["tasks.deleted"]
    sequences = [decode_events(broadcast.body)[0].sequence for broadcast in told]
    assert sequences == list(range(1, 22))
    assert all(broadcast.body.startswith(b"{") for broadcast in told)


async def test_what_was_committed_before_a_death_is_published_after_it(
    lasting_scene: Scene,
) -> None:
    """The outbox is filled by a process that never comes to publish."""
    heard: asyncio.Queue[Broadcast] = asyncio.Queue()
    async with lasting_scene.bus() as bus:
        await bus.listen("events", ["#"], heard.put_nowait)
        async with lasting_scene.backend() as backend:
            await backend.execute([Save({"n": number}) for number in range(3)])
        async with lasting_scene.service():
            told = [decode_events((await soon(heard.get())).body)[0] for _ in range(3)]
    assert [event.sequence for event in told] == [1, 2, 3]


async def test_of_several_services_one_publishes(lasting_scene: Scene) -> None:
    heard: asyncio.Queue[Broadcast] = asyncio.Queue()
    service, client = lasting_scene.service, lasting_scene.client
    async with service() as first, service(), service(), client() as speaker:
        await first.bus.listen("events", ["tasks.*"], heard.put_nowait)
        async with speaker.subscribe("tasks.*") as events:
            await asyncio.gather(*(speaker.storage.save({"n": n}) for n in range(200)))
            told = await take(events, 200)
        alone = [decode_events((await soon(heard.get())).body)[0] for _ in range(200)]
    assert [event.sequence for event in told] == list(range(1, 201))
    assert [event.sequence for event in alone] == list(range(1, 201))
    assert heard.empty()


async def test_another_service_takes_over(shared_scene: Scene) -> None:
    async with shared_scene.service() as staying, shared_scene.client() as client:
        async with client.subscribe("tasks.*") as events:
            async with shared_scene.service():
                await client.storage.save({"n": 1})
                await take(events, 1)
            await client.storage.save({"n": 2})
            (event,) = await take(events, 1)
        assert event.sequence == 2
        assert staying.ready


async def test_without_events_changes_are_counted_and_not_kept(scene: Scene) -> None:
    silent = type(scene.options.backend_options)(allow_unsafe=True, keep_events=False)
    async with scene.service(backend_options=silent), scene.client() as client:
        saved = await client.storage.save({"n": 1})
        response = await client.request("storage", "storage_events", {"after": 0})
    assert saved.sequence == 1
    assert (response.error_type, response.details["first_sequence"]) == ("not_found", 2)


async def test_a_service_inside_a_process_takes_no_events_from_others(lasting_scene: Scene) -> None:
    """A tool opens the store of a running service: what it publishes stays with it."""
    heard: asyncio.Queue[Broadcast] = asyncio.Queue()
    async with lasting_scene.backend() as backend:
        await backend.execute([Save({"n": 0})])
    tool = Scene(f"memory://{uuid7()}", lasting_scene.backend_url, "tool")
    async with tool.service(), tool.client() as inside, inside.subscribe("tasks.*") as events:
        await inside.storage.save({"n": 1})
        assert [event.sequence for event in await take(events, 1)] == [2]
    async with lasting_scene.bus() as bus:
        await bus.listen("events", ["#"], heard.put_nowait)
        async with lasting_scene.service():
            told = [decode_events((await soon(heard.get())).body)[0] for _ in range(2)]
    assert [event.sequence for event in told] == [1, 2]
