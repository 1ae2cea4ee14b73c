"""The desk of the dead letters, on the in-process bus."""

import asyncio
import gc
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast_agents.dead_letters import Choice, DeadLetterDesk
from holdfast_protocol.actions import DeadLetterFilter
from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.errors import NotFoundError, OverloadedError
from tests.unit.dead_letters.letters import bury, bury_many, left, opened

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


# -- removing, and what every walk does -----------------------------------------------------------


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
