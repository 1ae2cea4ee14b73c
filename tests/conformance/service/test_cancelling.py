"""Cancelling a request, on each backend and both buses."""

import asyncio
from collections.abc import Sequence

from pydantic import JsonValue

from holdfast_agents.base.work import TransientError
from holdfast_agents.storage.agent import StorageAgent
from holdfast_backends import Backend
from holdfast_backends.operations import Operation
from holdfast_backends.outcomes import Outcome
from holdfast_protocol import AgentClient, AgentMessage, UnavailableError
from holdfast_protocol.control import Cancel
from tests.conformance.service.scene import Scene, soon, until


class Hesitant:
    """A backend that executes when it is let."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.entered = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        self.entered.set()
        await self.may_go_on.wait()
        return await self._backend.execute(operations)

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)


def save(message_id: str = "m", sender: str = "tester") -> AgentMessage:
    return AgentMessage(
        action="storage_save", payload={"task": {"n": 1}}, id=message_id, sender=sender
    )


async def cancelled_everywhere(client: AgentClient, agent: StorageAgent, message_id: str) -> None:
    await client.cancel(message_id)

    async def known() -> bool:
        return agent.cancellations.holds(save(message_id))

    await until(known)


async def test_what_is_cancelled_before_its_commit_never_happens(scene: Scene) -> None:
    async with scene.backend() as backend:
        agent = StorageAgent(backend)
        agent.cancellations.add(Cancel("m", "tester"))
        refused = await agent.handle_message(save())
        again = await StorageAgent(backend).handle_message(save())
        assert await backend.outbox.positions() == {}
    assert (refused.status, refused.error_type) == ("error", "cancelled")
    assert again.error_type == "cancelled", "also where nobody heard of the cancellation"


async def test_what_is_cancelled_after_its_commit_is_answered_and_says_so(scene: Scene) -> None:
    async with scene.backend() as backend:
        agent = StorageAgent(backend)
        first = await agent.handle_message(save())
        agent.cancellations.add(Cancel("m", "tester"))
        again = await agent.handle_message(save())
    assert again.result == first.result
    assert (again.meta["replayed"], again.meta["cancel"]) == (True, "too_late")


async def test_what_is_cancelled_while_it_is_executed_says_so(scene: Scene) -> None:
    async with scene.backend() as backend:
        hesitant = Hesitant(backend)
        agent = StorageAgent(hesitant)  # type: ignore[arg-type]
        answering = asyncio.create_task(agent.handle_message(save()))
        await soon(hesitant.entered.wait())
        agent.cancellations.add(Cancel("m", "tester"))
        hesitant.may_go_on.set()
        response = await soon(answering)
    assert response.ok
    assert response.meta["cancel"] == "too_late"


async def test_only_the_senders_own_message_is_cancelled(scene: Scene) -> None:
    async with scene.backend() as backend:
        agent = StorageAgent(backend)
        agent.cancellations.add(Cancel("m", "somebody else"))
        response = await agent.handle_message(save())
    assert response.ok
    assert "cancel" not in response.meta


async def test_a_read_that_is_cancelled_is_not_executed(scene: Scene) -> None:
    async with scene.backend() as backend:
        agent = StorageAgent(backend)
        agent.cancellations.add(Cancel("r", "tester"))
        message = AgentMessage(action="storage_count", id="r", sender="tester")
        response = await agent.handle_message(message)
    assert response.error_type == "cancelled"


async def test_a_client_cancels_what_waits_in_the_queue(scene: Scene) -> None:
    """The service starts when the message and its cancellation are both under way."""
    async with scene.client() as client:
        async with scene.service():
            await client.ping("storage")  # the queue is there
        request = asyncio.create_task(
            client.request("storage", "storage_save", {"task": {"n": 1}}, message_id="m")
        )
        async with scene.service() as service:
            await client.cancel("m")
            response = await soon(request)
            if response.ok:  # it was faster than its cancellation
                assert response.result == {"id": 1, "n": 1}
            else:
                assert response.error_type == "cancelled"
                assert (await client.storage.count()) == 0
            assert service.ready


async def test_an_index_whose_declaration_is_unconfirmed_is_not_called_cancelled(
    scene: Scene,
) -> None:
    """What has no identity may have been done by the attempt before."""
    async with scene.backend() as backend:
        agent = StorageAgent(backend)
        payload: dict[str, JsonValue] = {"paths": ["owner"]}
        message = AgentMessage(action="storage_index", payload=payload, id="i", sender="tester")
        agent.cancellations.add(Cancel("i", "tester"))
        prepared = agent.prepare([message])
        lost = TransientError(UnavailableError("The store went away"))
        (answer,) = await agent.execute(prepared, after=lost)
    assert answer.reply.error_type == "unavailable"
