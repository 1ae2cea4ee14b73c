"""Announcing to everybody who listens: order, patterns, who is reached and who is not."""

import asyncio

import pytest

from holdfast_protocol.bus.contract import Announcement, Broadcast, Bus
from holdfast_protocol.errors import BusClosedError, TooLargeError, ValidationError
from tests.conformance.bus.harness import Harness, Heard, soon


def event(routing_key: str, body: bytes = b"x", message_id: str | None = None) -> Announcement:
    return Announcement("events", routing_key, body, message_id)


async def test_a_listener_hears_what_is_announced_as_it_was_said(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["tasks.*"], heard)
    assert await bus.announce([event("tasks.created", b"\xffbody", "tasks/1")]) == [True]
    assert await heard.next() == Broadcast("tasks.created", b"\xffbody", "tasks/1")


async def test_without_a_message_id_there_is_none(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["#"], heard)
    await bus.announce([event("tasks.created", b"")])
    assert await heard.next() == Broadcast("tasks.created", b"")


async def test_it_is_told_for_each_whether_anybody_is_bound(bus: Bus) -> None:
    await bus.listen("events", ["tasks.#", "users.created"], Heard())
    keys = ["tasks.created", "users.deleted", "tasks", "users.created", "x", "users.deleted"]
    routed = await bus.announce([event(key) for key in keys])
    assert routed == [True, False, True, True, False, False]


async def test_nothing_to_announce_is_nothing(bus: Bus) -> None:
    assert await bus.announce([]) == []


@pytest.mark.parametrize(
    ("pattern", "key", "heard"),
    [
        ("tasks.created", "tasks.created", True),
        ("tasks.created", "tasks.updated", False),
        ("*.created", "tasks.created", True),
        ("*.created", "created", False),
        ("*", "tasks.created", False),
        ("#", "tasks.created", True),
        ("#", "", True),
        ("*", "", False),
        ("tasks.#", "tasks", True),
        ("tasks.#", "tasks.a.b.c", True),
        ("#.c", "tasks.a.b.c", True),
        ("#.b", "tasks.a.b.c", False),
        ("#.#", "a", True),
        ("*.#.c", "a.c", True),
        ("*.#.c", "c", False),
        ("a.*.c", "a..c", True),
        ("tasks", "tasks.", False),
    ],
)
async def test_patterns_mean_what_a_topic_exchange_says(
    bus: Bus, pattern: str, key: str, heard: bool
) -> None:
    await bus.listen("changes", [pattern], Heard())
    assert await bus.announce([Announcement("changes", key, b"x")]) == [heard]


async def test_one_that_matches_several_patterns_is_heard_once(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["#", "tasks.*", "*.created"], heard)
    await bus.announce([event("tasks.created", b"1"), event("tasks.created", b"2")])
    assert await heard.bodies(2) == [b"1", b"2"]
    assert heard.broadcasts.empty()


async def test_all_that_listen_hear_it_on_any_bus(harness: Harness, bus: Bus) -> None:
    first, second = Heard(), Heard()
    async with harness.bus() as other:
        await bus.listen("control", ["storage.#"], first)
        await other.listen("control", ["storage.#"], second)
        assert await other.announce([Announcement("control", "storage.cancel", b"x")]) == [True]
        assert (await first.bodies(1), await second.bodies(1)) == ([b"x"], [b"x"])


async def test_the_exchanges_and_the_namespaces_are_apart(harness: Harness, bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["#"], heard)
    async with harness.bus(namespace="elsewhere") as other:
        assert await other.announce([event("a")]) == [False]
    assert await bus.announce([Announcement("control", "a", b"x")]) == [False]
    assert await bus.announce([Announcement("changes", "a", b"x")]) == [False]
    await bus.announce([event("a", b"mine")])
    assert await heard.bodies(1) == [b"mine"]


async def test_the_order_is_that_of_the_list_and_of_the_calls(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["even", "odd"], heard)
    bodies = [b"%d" % number for number in range(10_000)]
    keys = ["even", "odd", "nobody"]
    announcements = [event(keys[int(body) % 3], body) for body in bodies]
    calls = [
        asyncio.create_task(bus.announce(announcements[start : start + 2500]))
        for start in range(0, 10_000, 2500)
    ]
    routed = [one for answer in await soon(asyncio.gather(*calls)) for one in answer]
    assert routed == [int(body) % 3 != 2 for body in bodies]
    expected = [body for body in bodies if int(body) % 3 != 2]
    assert await heard.bodies(len(expected)) == expected


async def test_large_bodies_arrive_whole_and_in_order(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["#"], heard)
    bodies = [bytes([number]) * size for number, size in enumerate([1, 131_064, 131_065, 5 << 20])]
    bodies += [b"", b"z" * 131_063, b"last"]
    assert await bus.announce([event("a", body) for body in bodies]) == [True] * len(bodies)
    assert await heard.bodies(len(bodies)) == bodies


async def test_large_ones_that_nobody_hears_disturb_nothing(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["heard"], heard)
    announcements = [event(key, b"x" * (3 << 20)) for key in ("a", "heard", "b")]
    assert await bus.announce(announcements) == [False, True, False]
    assert await heard.bodies(1) == [b"x" * (3 << 20)]
    assert await bus.announce([event("heard", b"after")]) == [True]
    assert await heard.bodies(1) == [b"after"]


async def test_a_closed_listener_hears_nothing_more(bus: Bus) -> None:
    heard = Heard()
    listener = await bus.listen("events", ["#"], heard)
    assert listener.connected
    await listener.close()
    await listener.close()
    assert not listener.connected
    assert await bus.announce([event("a")]) == [False]
    assert heard.broadcasts.empty()


async def test_closing_the_bus_closes_its_listeners(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        listener = await other.listen("events", ["#"], Heard())
    assert not listener.connected
    assert await bus.announce([event("a")]) == [False]


async def test_a_listener_is_ready_before_listening_returns(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["#"], heard, heard.ready)
    heard.readiness.get_nowait()
    assert heard.readiness.empty()


async def test_what_follows_readiness_may_fail(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()

    def on_ready() -> None:
        raise LookupError("mine")

    await bus.listen("events", ["#"], heard, on_ready)
    assert "LookupError: mine" in caplog.text
    assert await bus.announce([event("a", b"x")]) == [True]
    assert await heard.bodies(1) == [b"x"]


async def test_what_a_listener_raises_is_not_the_announcers_and_not_the_next_ones(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    def on_message(broadcast: Broadcast) -> None:
        if broadcast.body == b"bad":
            raise LookupError("mine")
        heard(broadcast)

    await bus.listen("events", ["#"], on_message)
    assert await bus.announce([event("a", b"bad"), event("a", b"good")]) == [True, True]
    assert await heard.bodies(1) == [b"good"]
    assert "LookupError: mine" in caplog.text


async def test_a_listener_may_announce(bus: Bus) -> None:
    heard = Heard()
    answers: list[asyncio.Task[list[bool]]] = []

    def on_message(broadcast: Broadcast) -> None:
        answers.append(asyncio.create_task(bus.announce([event("echo", broadcast.body)])))

    await bus.listen("events", ["call"], on_message)
    await bus.listen("events", ["echo"], heard)
    await bus.announce([event("call", b"hello")])
    assert await heard.bodies(1) == [b"hello"]
    assert await soon(asyncio.gather(*answers)) == [[True]]


async def test_what_amqp_cannot_carry_is_refused_before_anything_is_sent(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["#"], heard)
    good = event("a")
    for bad in (event("k" * 256), event("\ud800"), event("a", message_id="i" * 256)):
        with pytest.raises(ValidationError):
            await bus.announce([good, bad])
    with pytest.raises(TooLargeError):
        await bus.announce([good, event("a", bytes(128 * 1024 * 1024 + 1))])
    for patterns in ([], ["p" * 256]):
        with pytest.raises(ValidationError):
            await bus.listen("events", patterns, heard)
    await bus.announce([event("a", b"end")])
    assert await heard.bodies(1) == [b"end"]


async def test_a_cancelled_announcement_leaves_the_bus_in_order(bus: Bus) -> None:
    heard = Heard()
    await bus.listen("events", ["#"], heard)
    announcements = [event("a", b"%d" % number) for number in range(3000)]
    cancelled = asyncio.create_task(bus.announce(announcements))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert await bus.announce([event("a", b"end")]) == [True]
    heard_bodies: list[bytes] = []
    while b"end" not in heard_bodies:
        heard_bodies += await heard.bodies(1)
    assert heard_bodies[:-1] == [b"%d" % number for number in range(len(heard_bodies) - 1)]


async def test_a_bus_that_is_not_open_neither_announces_nor_listens(harness: Harness) -> None:
    bus = harness.bus()
    for use in (bus.announce([event("a")]), bus.listen("events", ["#"], Heard())):
        with pytest.raises(BusClosedError):
            await use
