"""Deadlines up to the commit, on each backend and both buses."""

import asyncio
from datetime import UTC, datetime, timedelta

from holdfast_agents.storage.agent import StorageAgent
from holdfast_protocol import AgentMessage
from holdfast_protocol.bus.contract import DeadLetter
from tests.conformance.service.scene import Scene, soon, until
from tests.conformance.service.test_cancelling import Hesitant


def save(deadline: datetime) -> AgentMessage:
    return AgentMessage(
        action="storage_save",
        payload={"task": {"n": 1}},
        id="m",
        sender="tester",
        deadline=deadline,
    )


async def test_a_deadline_that_passes_before_the_commit_is_kept(scene: Scene) -> None:
    """The store was busy for longer than the message could wait."""
    async with scene.backend() as backend:
        hesitant = Hesitant(backend)
        agent = StorageAgent(hesitant)  # type: ignore[arg-type]
        deadline = datetime.now(UTC) + timedelta(seconds=0.2)
        answering = asyncio.create_task(agent.handle_message(save(deadline)))
        await soon(hesitant.entered.wait())

        async def has_passed() -> bool:
            return datetime.now(UTC) >= deadline

        await until(has_passed)
        hesitant.may_go_on.set()
        response = await soon(answering)
        assert await backend.outbox.positions() == {}
        later = await agent.handle_message(save(datetime.now(UTC) + timedelta(seconds=60)))
    assert response.error_type == "expired"
    assert later.ok, "a refusal is not stored"


async def test_a_client_tells_the_broker_when_nobody_waits_any_more(scene: Scene) -> None:
    """What expires in the queue is dead-lettered there, and never executed."""
    async with scene.client() as client, scene.bus() as bus:
        async with scene.service():
            await client.ping("storage")  # the queue is there
        deadline = datetime.now(UTC) + timedelta(seconds=0.05)
        await client.send("storage", "storage_save", {"task": {"n": 1}}, deadline=deadline)
        letters: list[DeadLetter] = []
        while not letters:
            async with bus.dead_letters() as walk:
                letters = await walk.take(1)
                await walk.remove(letters)
        async with scene.service():
            assert await client.storage.count() == 0
    assert letters[0].reason == "expired"
    assert letters[0].routing_key.startswith("storage.")


async def test_what_was_done_in_time_is_answered_also_when_it_comes_again_too_late(
    scene: Scene,
) -> None:
    """Its reply, or its place in the journal, was lost after the commit."""
    async with scene.backend() as backend:
        agent = StorageAgent(backend)
        deadline = datetime.now(UTC) + timedelta(seconds=0.2)
        first = await agent.handle_message(save(deadline))

        async def has_passed() -> bool:
            return datetime.now(UTC) >= deadline

        await until(has_passed)
        again = await agent.handle_message(save(deadline))
    assert (again.result, again.meta["replayed"]) == (first.result, True)
