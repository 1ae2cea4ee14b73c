"""Defects between the bus and the store: what is acked, answered, kept for the operator."""

from collections.abc import Sequence

from holdfast_agents.base.answers import Answer
from holdfast_agents.base.runner import Runner
from holdfast_agents.base.settling import Settler
from holdfast_agents.base.waiting import Portion, Received, Waiting
from holdfast_agents.base.work import Done
from holdfast_agents.storage.agent import StorageAgent
from holdfast_agents.storage.work import StorageWork
from holdfast_backends.operations import Get
from holdfast_protocol.bus.contract import Consumer, Delivery

from .contract import Patcher


async def _settle_nothing(
    _self: Settler, _consumer: Consumer, _deliveries: list[Delivery], _delivered: list[bool]
) -> None:
    return


def ack_before_commit(patch: Patcher) -> None:
    """A delivery is acked when it is taken."""
    real = Runner._accept

    async def accept(self: Runner, consumer: Consumer, delivery: Delivery) -> int:
        await consumer.ack([delivery])
        return await real(self, consumer, delivery)

    patch.replace(Runner, "_accept", accept)
    patch.replace(Settler, "settle", _settle_nothing)


def never_acked(patch: Patcher) -> None:
    """What was answered is not acked."""
    patch.replace(Settler, "settle", _settle_nothing)


def acked_without_reply(patch: Patcher) -> None:
    """A delivery whose answer the broker did not take is acked all the same, and a dead letter
    that it did not take, too."""
    real = Settler.settle

    async def settle(
        self: Settler, consumer: Consumer, deliveries: list[Delivery], delivered: list[bool]
    ) -> None:
        await real(self, consumer, deliveries, [True for _ in delivered])

    patch.replace(Settler, "settle", settle)


def dropped_when_busy(patch: Patcher) -> None:
    """Every fiftieth delivery is taken and forgotten."""
    real = Waiting.put
    count = 0

    async def put(self: Waiting, received: Received) -> None:
        nonlocal count
        count += 1
        if count % 50:
            await real(self, received)

    patch.replace(Waiting, "put", put)


def refused_without_dead_letter(patch: Patcher) -> None:
    """What is refused and has nobody to tell is dropped."""

    async def bury(
        _self: Settler, _received: Received, _answers: Sequence[Answer], _start: int
    ) -> None:
        return

    patch.replace(Settler, "_bury_refused", bury)


def answers_exchanged(patch: Patcher) -> None:
    """A delivery is now and then given the answers of the one before it."""
    real = Settler.deliver
    before: list[Answer] = []

    async def deliver(
        self: Settler, portion: Portion, answers: Sequence[Answer], *, at_once: bool = False
    ) -> bool:
        given = list(answers)
        if len(before) == len(given):
            given = [
                old._replace(reply=old.reply._replace(in_reply_to=new.reply.in_reply_to))
                for old, new in zip(before, given, strict=True)
            ]
            before.clear()
        else:
            before[:] = given
        return await real(self, portion, given, at_once=at_once)

    patch.replace(Settler, "deliver", deliver)


def read_from_a_cache(patch: Patcher) -> None:
    """Each process keeps what it has read of a record, and answers from that."""
    real = StorageAgent.perform
    kept: dict[tuple[str, int | str], Done[StorageWork]] = {}

    async def perform(
        self: StorageAgent, works: Sequence[StorageWork]
    ) -> Sequence[Done[StorageWork]]:
        done = list(await real(self, works))
        for place, work in enumerate(works):
            if isinstance(work.operation, Get):
                key = (work.operation.collection, work.operation.id)
                done[place] = kept.setdefault(key, done[place])
        return done

    patch.replace(StorageAgent, "perform", perform)


def everything_remembered(patch: Patcher) -> None:
    """Each message leaves something in memory for ever."""
    real = StorageAgent.perform
    kept: list[bytes] = []

    async def perform(
        self: StorageAgent, works: Sequence[StorageWork]
    ) -> Sequence[Done[StorageWork]]:
        kept.extend(b"x" * 200_000 + b"%d" % len(kept) for _work in works)
        return await real(self, works)

    patch.replace(StorageAgent, "perform", perform)
