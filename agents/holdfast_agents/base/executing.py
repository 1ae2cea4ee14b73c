"""Executing a batch: the answers of the agent, told to the log and to the journal."""

import asyncio
from collections.abc import Awaitable, Sequence
from time import monotonic
from typing import Any, Protocol

import stamina

from holdfast_agents.logs import Logger
from holdfast_protocol.codec import Refusal
from holdfast_protocol.messages import AgentMessage

from .agent import Agent
from .answers import Answer
from .outages import Outage, is_worth_another_try
from .outcomes_log import OutcomeLog
from .waiting import Portion
from .work import Prepared, TransientError


class Recording(Protocol):
    """The part of a journal that a runner needs (`journal.contract.Journal`)."""

    def record(
        self, agent: str, items: Sequence[AgentMessage | Refusal], answers: Sequence[Answer]
    ) -> Awaitable[bool]:
        """As `Journal.record`. What it raises ends the service."""
        ...


class Execution:
    """Has an agent execute.

    Args:
        stopping: set when a store that is away is no longer to be waited for.
        retry_seconds: how long it is, otherwise.
    """

    def __init__(
        self,
        agent: Agent[Any],
        log: Logger,
        journal: Recording | None,
        *,
        stopping: asyncio.Event,
        retry_seconds: float,
    ) -> None:
        self._agent = agent
        self._journal = journal
        self._stopping = stopping
        self._retry_seconds = retry_seconds
        self._outage = Outage()
        self.outcomes = OutcomeLog(log, agent.name)

    async def of(self, batch: Sequence[Portion]) -> tuple[list[Answer], Awaitable[bool] | None]:
        """The answers, and whether the journal keeps them, if there is one."""
        items: list[AgentMessage | Refusal] = []
        prepared: list[Prepared[Any] | Answer] = []
        for received, start, end in batch:
            items += received.items[start:end]
            prepared += received.prepared[start:end]
        started = monotonic()
        answers = await self._answers(prepared)
        self.outcomes.tell(items, answers, monotonic() - started)
        if self._journal is None:
            return answers, None
        return answers, self._journal.record(self._agent.name, items, answers)

    async def _answers(self, prepared: Sequence[Prepared[Any] | Answer]) -> list[Answer]:
        """The answers; a store that cannot be reached is waited for, the queue waiting too."""
        try:
            retries = stamina.retry_context(
                on=is_worth_another_try(self._stopping),
                attempts=None,
                timeout=self._outage.seconds_left(self._retry_seconds),
                wait_initial=0.05,
                wait_max=2.0,
            )
            async for attempt in retries:
                with attempt, self._outage.watched():
                    return await self._agent.execute(prepared, after=self._outage.last)
        except TransientError as transient:
            return self._agent.give_up(prepared, transient.error)
        raise RuntimeError("a retry loop ends in an answer or an error")
