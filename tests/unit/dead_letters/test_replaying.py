"""Sending dead letters again, and what may go wrong meanwhile, on the in-process bus."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from holdfast_agents.dead_letters import Choice, DeadLetterDesk
from holdfast_protocol.actions import DeadLetterFilter
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.memory_letters import MemoryWalk
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.errors import UnavailableError
from tests.unit.dead_letters.letters import arrived, bury, bury_many, left, opened

EVERYTHING = Choice()


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


class Choking(MemoryBus):
    """Fails in a way that nobody foresaw at letters `poison`."""

    async def resend(self, letter: DeadLetter) -> None:
        if letter.id.startswith("poison"):
            raise ValueError("not this one")
        await super().resend(letter)


async def test_a_letter_that_nothing_can_send_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(Choking) as bus:
        await bury_many(bus, ["a", "poison1", "poison2", "b"])
        bus.broker.declare_queue(bus.namespace, "storage")
        replayed = await DeadLetterDesk(bus).replay(EVERYTHING)
        assert (replayed.result.replayed, replayed.result.failed) == (2, 2)
        assert replayed.failures == {"internal_error": 2}
        assert await left(bus) == ["poison1", "poison2"]
    assert [record.getMessage() for record in caplog.records] == [
        "The dead letter 'poison1' cannot be sent again: ValueError",
        "The dead letter 'poison2' cannot be sent again: ValueError",
    ]
    assert [bool(record.exc_info) for record in caplog.records] == [True, False]


async def test_a_letter_whose_way_no_message_can_go_stops_no_other() -> None:
    async with opened() as bus:
        await bury_many(bus, ["long"], to="storage." + "a" * 300)
        await bury_many(bus, ["good"])
        bus.broker.declare_queue(bus.namespace, "storage")
        replayed = await DeadLetterDesk(bus).replay(EVERYTHING)
        assert replayed.failures == {"validation_error": 1}
        assert await left(bus) == ["long"]


async def test_a_replay_that_is_cancelled_removes_what_it_has_sent() -> None:
    class Slow(MemoryBus):
        """Never gets over letter `slow`."""

        async def resend(self, letter: DeadLetter) -> None:
            if letter.id == "slow":
                stuck.set()
                await asyncio.Event().wait()
            await super().resend(letter)

    stuck = asyncio.Event()
    async with opened(Slow) as bus:
        # The last is sent in the same moment as the one that hangs, the others before.
        await bury_many(bus, [*map(str, range(70)), "slow", "z"])
        bus.broker.declare_queue(bus.namespace, "storage")
        replaying = asyncio.create_task(DeadLetterDesk(bus).replay(EVERYTHING))
        await stuck.wait()
        assert len(await arrived(bus, "storage", 71)) == 71
        replaying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replaying
        assert await left(bus) == ["slow"]
