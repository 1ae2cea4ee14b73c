"""The desk of the dead letters, on the in-process bus."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast_agents.dead_letters import Choice, DeadLetterDesk
from holdfast_protocol.actions import DeadLetterFilter
from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.memory_letters import MemoryWalk
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.errors import NotFoundError, OverloadedError, UnavailableError
from tests.unit.dead_letters.letters import arrived, bury, bury_many, left, opened

EVERYTHING = Choice()
SAVE = b'{"action":"storage_save"}'


def ids(letters: Sequence[Any]) -> list[str]:
    return [letter.id for letter in letters]


# -- listing ---------------------------------------------------------------------------------------


async def test_a_listed_letter_says_what_was_given_up_and_why() -> None:
    async with opened() as bus:
        said = {"action": "storage_save", "id": "m1", "sender": "me", "payload": 7}
        at = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
        await bury(bus, said, letter_id="one", reason="expired", error="late", at=at)
        listing = await DeadLetterDesk(bus).list()
    (letter,) = listing.letters
    assert letter.model_dump() == {
        "id": "one",
        "reason": "expired",
        "agent": "storage",
        "error": "late",
        "action": "storage_save",
        "message_id": "m1",
        "sender": "me",
        "routing_key": "storage.any",
        "attempts": 1,
        "at": at,
        "bytes": len(json.dumps(said)),
    }
    assert (listing.total, listing.complete) == (1, True)


async def test_the_oldest_are_listed_and_whether_more_may_match_is_told() -> None:
    async with opened() as bus:
        await bury_many(bus, ["a", "b", "c"])
        desk = DeadLetterDesk(bus)
        some = await desk.list(limit=2)
        assert (ids(some.letters), some.total, some.complete) == (["a", "b"], 3, False)
        every = await desk.list(limit=3)
        assert (ids(every.letters), every.complete) == (["a", "b", "c"], True)
        assert await left(bus) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"reason": "expired"}, ["old", "array"]),
        ({"agent": "other"}, ["other"]),
        ({"action": "storage_get"}, ["array", "other"]),
        ({"action": "storage_save"}, ["old", "array"]),
        ({"action": "nothing"}, []),
        ({"reason": "expired", "action": "storage_get"}, ["array"]),
        ({"older_than_seconds": 3600}, ["old"]),
        ({"newer_than_seconds": 3600}, ["array", "other", "bytes"]),
        ({"older_than_seconds": 60, "newer_than_seconds": 7200}, []),
        ({}, ["old", "array", "other", "bytes"]),
    ],
)
async def test_a_filter_holds_where_each_of_its_fields_holds(
    wanted: dict[str, Any], expected: list[str]
) -> None:
    save, get = {"action": "storage_save"}, {"action": "storage_get"}
    async with opened() as bus:
        before = datetime.now(UTC) - timedelta(hours=3)
        await bury(bus, save, letter_id="old", reason="expired", at=before)
        await bury(bus, [save, 7, get], letter_id="array", reason="expired")
        await bury(bus, get, letter_id="other", agent="other")
        await bury(bus, b"\xff{", letter_id="bytes")
        listing = await DeadLetterDesk(bus).list(DeadLetterFilter(**wanted))
    assert ids(listing.letters) == expected
    assert (listing.total, listing.complete) == (4, True)


async def test_a_letter_without_a_time_has_no_age() -> None:
    class Timeless(MemoryBus):
        """Letters of which nobody knows when they were given up."""

        async def dead_letter(self, delivery: Delivery, **words: str) -> None:
            await super().dead_letter(delivery, **words)
            (letter,) = self.broker.dead_letters
            letter.headers["x-holdfast-at"] = "yesterday"

    async with opened(Timeless) as bus:
        await bury(bus, {}, letter_id="a")
        desk = DeadLetterDesk(bus)
        assert ids((await desk.list()).letters) == ["a"]
        assert (await desk.list(DeadLetterFilter(older_than_seconds=0))).letters == []
        assert (await desk.list(DeadLetterFilter(newer_than_seconds=9e8))).letters == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'{"action": 7, "id": {}, "sender": []}',
        b'[7, {"id": "second"}]',
        b'{"action": "a"',
        b"[" * 100_000,
        b'{"id": "x"}' + b" " * (16 * 1024 * 1024),
    ],
)
async def test_what_cannot_be_read_of_a_message_is_none(body: bytes) -> None:
    async with opened() as bus:
        await bury(bus, body)
        (letter,) = (await DeadLetterDesk(bus).list()).letters
    assert (letter.action, letter.message_id, letter.sender) == (None, None, None)
    assert letter.bytes == len(body)


async def test_what_a_sender_wrote_is_cut() -> None:
    said = {"action": "a" * 5000, "id": "ü" * 5000, "sender": "\ud800" * 5000}
    async with opened() as bus:
        await bury(bus, said)
        (letter,) = (await DeadLetterDesk(bus).list()).letters
    assert (letter.action, letter.message_id) == ("a" * 255, "ü" * 255)
    assert letter.sender is not None
    assert len(letter.sender) == 255
    assert len(letter.model_dump_json().encode()) < 5000


async def test_a_list_is_bounded_in_bytes_too() -> None:
    async with opened() as bus:
        await bury_many(bus, map(str, range(1000)), error="x" * 1000)
        listing = await DeadLetterDesk(bus).list(limit=1000, max_bytes=100_000)
    size = sum(len(letter.model_dump_json()) for letter in listing.letters)
    assert 90_000 < size < 100_000
    assert not listing.complete


# -- showing ---------------------------------------------------------------------------------------


async def test_one_letter_is_shown_by_its_id_and_stays() -> None:
    async with opened() as bus:
        await bury_many(bus, map(str, range(250)))
        desk = DeadLetterDesk(bus)
        letter = await desk.show("249")
        assert (letter.id, json.loads(letter.body)) == ("249", {"action": "storage_save"})
        with pytest.raises(NotFoundError, match="Dead letter 250 not found"):
            await desk.show("250")
        assert len(await left(bus)) == 250


# -- sending again ---------------------------------------------------------------------------------


async def test_a_replayed_letter_goes_where_it_was_going_and_is_gone() -> None:
    async with opened() as bus:
        consumer = await bus.consume("storage")
        await bury(bus, {"n": 1}, letter_id="a", to="storage.storage_save")
        await bury(bus, {"n": 2}, letter_id="b", reason="expired")
        choice = Choice(DeadLetterFilter(reason="validation_error"))
        replayed = await DeadLetterDesk(bus).replay(choice)
        assert replayed.result.model_dump() == {
            "matched": 1,
            "replayed": 1,
            "failed": 0,
            "dry_run": False,
        }
        (delivery,) = await consumer.receive()
        assert (delivery.body, delivery.routing_key) == (b'{"n": 1}', "storage.storage_save")
        assert (delivery.message_id, delivery.attempts) == ("a", 2)
        assert await left(bus) == ["b"]


async def test_letters_are_chosen_by_their_ids_which_several_may_share() -> None:
    async with opened() as bus:
        await bury_many(bus, ["a", "b", "a", "c"])
        await bus.consume("storage")
        replayed = await DeadLetterDesk(bus).replay(Choice(ids=["a", "x"]))
        assert (replayed.result.matched, replayed.result.replayed) == (2, 2)
        assert await left(bus) == ["b", "c"]


async def test_a_dry_run_counts_and_changes_nothing() -> None:
    async with opened() as bus:
        await bury_many(bus, ["a", "b"])
        await bus.consume("storage")
        desk = DeadLetterDesk(bus)
        replayed = await desk.replay(Choice(dry_run=True))
        purged = await desk.purge(Choice(dry_run=True, limit=1))
        assert replayed.result.model_dump() == {
            "matched": 2,
            "replayed": 0,
            "failed": 0,
            "dry_run": True,
        }
        assert purged.model_dump() == {"matched": 1, "purged": 0, "dry_run": True}
        assert await left(bus) == ["a", "b"]


async def test_a_limit_takes_the_oldest_that_match() -> None:
    async with opened() as bus:
        await bury_many(bus, ["a"], reason="other")
        await bury_many(bus, map(str, range(300)))
        choice = Choice(DeadLetterFilter(reason="validation_error"), limit=299)
        assert (await DeadLetterDesk(bus).purge(choice)).purged == 299
        assert await left(bus) == ["a", "299"]


async def test_what_cannot_be_sent_stays_and_is_counted() -> None:
    async with opened(max_messages=2) as bus:
        await bus.consume("other")
        bus.broker.declare_queue(bus.namespace, "full")
        await bury_many(bus, ["nobody1", "nobody2"], to="nobody.x")
        await bury_many(bus, [f"full{number}" for number in range(200)], to="full.x")
        await bury_many(bus, ["other"], to="other.x")
        async with asyncio.timeout(5):  # only the first of the 198 are waited for
            replayed = await DeadLetterDesk(bus).replay(EVERYTHING)
        assert (replayed.result.matched, replayed.result.replayed) == (203, 3)
        assert replayed.result.failed == 200
        assert replayed.failures == {"no_route": 2, "overloaded": 198}
        remaining = await left(bus)
        assert remaining[:2] == ["nobody1", "nobody2"]
        assert len(remaining) == 200


async def test_letters_of_the_same_message_are_not_sent_in_the_same_moment() -> None:
    """Under way together, the broker's confirms could not tell them apart."""

    class Watched(MemoryBus):
        under_way: set[str] = set()  # noqa: RUF012 - one bus
        most = 0

        async def resend(self, letter: DeadLetter) -> None:
            assert letter.id not in self.under_way
            self.under_way.add(letter.id)
            self.most = max(self.most, len(self.under_way))
            await asyncio.sleep(0)
            self.under_way.discard(letter.id)
            await super().resend(letter)

    async with opened(Watched) as bus:
        assert isinstance(bus, Watched)
        await bury_many(bus, ["a", "b", "a", "a", *map(str, range(200))])
        await bus.consume("storage")
        assert (await DeadLetterDesk(bus).replay(EVERYTHING)).result.replayed == 204
        assert 10 < bus.most <= 64


async def test_letters_are_sent_in_their_order() -> None:
    async with opened() as bus:
        names = [str(number) for number in range(500)]
        await bury_many(bus, names)
        bus.broker.declare_queue(bus.namespace, "storage")
        await DeadLetterDesk(bus).replay(EVERYTHING)
        assert [one.message_id for one in await arrived(bus, "storage", 500)] == names


async def test_a_letter_that_comes_back_at_once_is_sent_once() -> None:
    async with opened() as bus:
        consumer = await bus.consume("storage", prefetch=10)

        async def refuse_everything() -> None:
            while deliveries := await consumer.receive():
                for delivery in deliveries:
                    await bus.dead_letter(delivery, reason="again", error="", agent="storage")
                await consumer.ack(deliveries)

        refusing = asyncio.create_task(refuse_everything())
        await bury_many(bus, map(str, range(300)))
        async with asyncio.timeout(10):
            replayed = await DeadLetterDesk(bus).replay(EVERYTHING)
            await consumer.cancel()
            await refusing
        assert (replayed.result.matched, replayed.result.replayed) == (300, 300)
        assert sorted(map(int, await left(bus))) == [*range(300)]


class Breaking(MemoryBus):
    """Loses its broker when it is to send the letter `broken`, or after so many removals."""

    removals = 100

    async def resend(self, letter: DeadLetter) -> None:
        if letter.id == "broken":
            raise UnavailableError("The connection was lost", {"reason": "cut"})
        await super().resend(letter)

    @asynccontextmanager
    async def dead_letters(self) -> AsyncIterator[MemoryWalk]:
        walk = BreakingWalk(self)
        try:
            yield walk
        finally:
            walk.close()


class BreakingWalk(MemoryWalk):
    def __init__(self, bus: Breaking) -> None:
        super().__init__(bus.broker.letters(), bus.namespace)
        self._bus = bus

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        if not self._bus.removals:
            raise UnavailableError("The walk was lost")
        self._bus.removals -= 1
        await super().remove(letters)


async def test_a_lost_broker_ends_the_replay_and_what_was_sent_is_removed() -> None:
    async with opened(Breaking) as bus:
        await bury_many(bus, ["a", "b", "broken", "c"])
        await bus.consume("storage")
        with pytest.raises(UnavailableError) as raised:
            await DeadLetterDesk(bus).replay(EVERYTHING)
        assert raised.value.details == {"reason": "cut", "replayed": 3}
        assert await left(bus) == ["broken"]


async def test_a_walk_that_was_lost_before_the_removal_leaves_all_letters() -> None:
    """They are sent again then, as after a death: their ids make that harmless."""
    async with opened(Breaking) as bus:
        assert isinstance(bus, Breaking)
        bus.removals = 1
        names = [str(number) for number in range(150)]
        await bury_many(bus, names)
        bus.broker.declare_queue(bus.namespace, "storage")
        desk = DeadLetterDesk(bus)
        with pytest.raises(UnavailableError) as raised:
            await desk.replay(EVERYTHING)
        assert raised.value.details == {"replayed": 100}
        assert await left(bus) == names[100:]
        bus.removals = 10
        assert (await desk.replay(EVERYTHING)).result.replayed == 50
        twice = await arrived(bus, "storage", 200)
        assert [one.message_id for one in twice] == [*names, *names[100:]]


async def test_a_cancelled_replay_gives_back_what_it_holds() -> None:
    class Stuck(MemoryBus):
        """Sends nothing, ever."""

        async def resend(self, letter: DeadLetter) -> None:
            del letter
            stuck.set()
            await asyncio.Event().wait()

    stuck = asyncio.Event()
    async with opened(Stuck) as bus:
        await bury_many(bus, ["a", "b"])
        desk = DeadLetterDesk(bus)
        replaying = asyncio.create_task(desk.replay(EVERYTHING))
        await stuck.wait()
        replaying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replaying
        assert await left(bus) == ["a", "b"]
        assert (await desk.list()).total == 2


# -- many ------------------------------------------------------------------------------------------


async def test_a_purge_removes_for_good() -> None:
    async with opened() as bus:
        await bury_many(bus, ["a", "b"])
        await bury_many(bus, ["c"], agent="other")
        purged = await DeadLetterDesk(bus).purge(Choice(DeadLetterFilter(agent="storage")))
        assert purged.model_dump() == {"matched": 2, "purged": 2, "dry_run": False}
        assert await left(bus) == ["c"]


async def test_progress_goes_from_nothing_to_all_of_them() -> None:
    async with opened() as bus:
        await bury_many(bus, map(str, range(250)))
        told: list[tuple[int, int]] = []
        await DeadLetterDesk(bus).purge(EVERYTHING, lambda *step: told.append(step))
    assert told == [(0, 250), (100, 250), (200, 250), (250, 250)]


async def test_another_walk_waits_for_its_turn_and_not_for_ever() -> None:
    class Held(MemoryBus):
        """Holds a walk up when it sends."""

        async def resend(self, letter: DeadLetter) -> None:
            reached.set()
            await go_on.wait()
            await super().resend(letter)

    reached, go_on = asyncio.Event(), asyncio.Event()
    async with opened(Held) as bus:
        await bury_many(bus, ["a"])
        await bus.consume("storage")
        desk = DeadLetterDesk(bus, patience=0.05)
        replaying = asyncio.create_task(desk.replay(EVERYTHING))
        await reached.wait()
        with pytest.raises(OverloadedError) as raised:
            await desk.list()
        assert raised.value.details == {"retry_after_seconds": 1.0}
        go_on.set()
        assert (await replaying).result.replayed == 1
        assert (await desk.list()).letters == []


async def test_a_walk_through_100_000_letters_holds_few_of_them() -> None:
    def count(met: int, total: int) -> None:
        if met % 20_000 == 0:
            held.append(sum(isinstance(thing, DeadLetter) for thing in gc.get_objects()))

    held: list[int] = []
    async with opened(max_dead_letters=100_000) as bus:
        for number in range(100_000):
            reason = "rare" if number % 1000 == 999 else "common"
            await bury(bus, SAVE, letter_id=str(number), reason=reason)
        desk = DeadLetterDesk(bus)
        choice = Choice(DeadLetterFilter(reason="rare", action="storage_save"), dry_run=True)
        assert (await desk.purge(choice, count)).matched == 100
        assert (await desk.purge(Choice(limit=99_990), count)).purged == 99_990
        assert await left(bus) == [str(number) for number in range(99_990, 100_000)]
    assert len(held) > 10
    assert max(held) <= 200
