"""CONTRIBUTING's agent works as it stands there."""

import asyncio
import re
from typing import Any

import pytest

from holdfast_agents import Agent
from holdfast_agents.base.runner import Runner
from holdfast_protocol import AgentClient, ValidationError
from holdfast_protocol.bus.memory import MemoryBus
from tests.docs.pages import CHECKOUT, CONTRIBUTING, blocks

(_EXAMPLE,) = blocks(CONTRIBUTING, "python")


@pytest.fixture
def agent() -> Agent[Any]:
    """The agent of the page."""
    names: dict[str, Any] = {"__name__": "contributed"}
    exec(compile(_EXAMPLE, "CONTRIBUTING.md", "exec"), names)
    made: Agent[Any] = names["GreetingAgent"]()
    return made


async def test_the_agent_answers_over_a_bus_with_all_that_the_page_promises(
    agent: Agent[Any],
) -> None:
    async with MemoryBus() as bus:
        runner = Runner(agent, bus)
        await runner.start()
        running = asyncio.create_task(runner.run())
        async with AgentClient(bus=bus, sender="reader") as client:
            answers = await asyncio.gather(
                *(client.request("greeting", "greeting_greet", {"name": n}) for n in ("Ada", "Bob"))
            )
            assert [a.result for a in answers] == [
                {"greeting": "Hello, Ada"},
                {"greeting": "Hello, Bob"},
            ]
            refused = await client.request("greeting", "greeting_greet", {"name": 7})
            assert refused.error_type == "validation_error"
            with pytest.raises(ValidationError):
                refused.raise_for_error()
            assert (await client.ping("greeting")).agent == "greeting"
            described = await client.describe("greeting")
            assert "greeting_greet" in [action.action for action in described.actions]
        await runner.stop()
        await running


def test_the_commands_of_make_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"make ([a-z-]+)", CONTRIBUTING.read_text())
    assert named
    assert [target for target in named if target not in targets] == []
