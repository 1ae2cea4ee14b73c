"""Who is dead already is not killed: it counts as no kill, and its death stays to be seen."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.chaos.agents import Agent
from tests.chaos.faults.kills import MISSED_AGENT, KillAgent
from tests.chaos.faults.stops import StopAgent


@pytest.mark.parametrize("fault", [KillAgent, StopAgent])
async def test_a_death_of_its_own_is_not_hidden_by_a_strike(
    fault: type[KillAgent | StopAgent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("redis", 0, [], {}, tmp_path / "agent.log")
    ended = await asyncio.create_subprocess_exec("false")
    await ended.wait()
    monkeypatch.setattr(agent, "_process", ended)
    strike = await fault([agent]).strike(Random(1))
    assert strike.kind == MISSED_AGENT
    assert "ended with 1" in (agent.death() or "")
