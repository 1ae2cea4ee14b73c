"""The service of a test ends with it, and tells what went wrong."""

import asyncio

import pytest

from holdfast_agents import SimpleAgent
from holdfast_agents.base.answers import Result
from holdfast_agents.base.simple import handles
from holdfast_agents.testing import services
from holdfast_protocol import AgentClient, AgentMessage
from holdfast_protocol.actions import ActionSpec, Payload


class Nothing(Payload):
    """Takes nothing."""


WAIT = ActionSpec("waiting_wait", Nothing, dict[str, str], writes=False, summary="Wait")


class WaitingAgent(SimpleAgent):
    """Waits until it is told to end, which nobody does."""

    def __init__(self) -> None:
        super().__init__("waiting", [handles(WAIT, Nothing, self.wait)])
        self.began = asyncio.Event()

    async def wait(self, message: AgentMessage, payload: Nothing) -> Result:
        del message, payload
        self.began.set()
        await asyncio.Event().wait()
        return Result({})


async def test_an_agent_that_never_ends_is_told_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_STOPPING_SECONDS", 0.05)
    agent = WaitingAgent()
    with pytest.raises(RuntimeError, match=r"an agent was still at work 0\.05 s after the test"):
        async with services.running("memory://", "memory://", [agent]) as service:
            async with AgentClient(bus=service.bus, sender="me") as client:
                await client.send("waiting", "waiting_wait", {})
            await agent.began.wait()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in others if not task.done()] == []


async def test_a_failing_test_is_what_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        async with services.running("memory://", "memory://", []):
            raise ZeroDivisionError
