"""Typed helpers for the dead letters: what was given up can be seen, sent again, removed."""

from collections.abc import Sequence
from typing import TypeAlias, Unpack

from holdfast_protocol.actions import (
    DeadLetter,
    DeadLetterDetail,
    DeadLettersPurged,
    DeadLettersReplayed,
)
from holdfast_protocol.client.answers import listed, parsed
from holdfast_protocol.client.asking import Requester, ask
from holdfast_protocol.client.composing import CallOptions
from holdfast_protocol.client.payloads import present

# Inside the class `list` is a method.
_Letters: TypeAlias = list[DeadLetter]


class DeadLettersClient:
    """The dead letters of the whole system, by way of any agent (`agent`).

    `reason`, `action` and `agent` filter by equality (here `agent` is who gave the message
    up), the others by age in seconds. Every method takes the options of `AgentClient.request`
    and raises what that raises and the typed error of the answer.
    """

    def __init__(self, client: Requester, agent: str = "storage") -> None:
        self._client = client
        self._agent = agent

    async def list(
        self,
        *,
        reason: str | None = None,
        action: str | None = None,
        agent: str | None = None,
        older_than_seconds: float | None = None,
        newer_than_seconds: float | None = None,
        limit: int | None = None,
        **options: Unpack[CallOptions],
    ) -> _Letters:
        """The oldest dead letters that match, at most `limit` (1 to 1,000; 100 by default)."""
        payload = present(
            reason=reason,
            action=action,
            agent=agent,
            older_than_seconds=older_than_seconds,
            newer_than_seconds=newer_than_seconds,
            limit=limit,
        )
        response = await ask(self._client, self._agent, "agent_dead_letters", payload, options)
        return [parsed(DeadLetter, item) for item in listed(response.result)]

    async def show(self, letter_id: str, **options: Unpack[CallOptions]) -> DeadLetterDetail:
        """One dead letter with its body. Raises NotFoundError when there is none."""
        payload = {"id": letter_id}
        response = await ask(self._client, self._agent, "agent_dead_letter", payload, options)
        return parsed(DeadLetterDetail, response.result)

    async def replay(
        self,
        *,
        ids: Sequence[str] | None = None,
        reason: str | None = None,
        action: str | None = None,
        agent: str | None = None,
        older_than_seconds: float | None = None,
        newer_than_seconds: float | None = None,
        all: bool = False,  # noqa: A002 - the name of the contract
        dry_run: bool = False,
        limit: int | None = None,
        **options: Unpack[CallOptions],
    ) -> DeadLettersReplayed:
        """Send those that match to where they were going, and remove them.

        Something must say which: `ids` (1 to 1,000), a filter, or `all=True`. With `dry_run`
        they are only counted. Those that could not be sent stay, and count as `failed`.
        """
        payload = present(
            ids=None if ids is None else [*ids],
            reason=reason,
            action=action,
            agent=agent,
            older_than_seconds=older_than_seconds,
            newer_than_seconds=newer_than_seconds,
            all=all or None,
            dry_run=dry_run or None,
            limit=limit,
        )
        action_name = "agent_dead_letters_replay"
        response = await ask(self._client, self._agent, action_name, payload, options)
        return parsed(DeadLettersReplayed, response.result)

    async def purge(
        self,
        *,
        ids: Sequence[str] | None = None,
        reason: str | None = None,
        action: str | None = None,
        agent: str | None = None,
        older_than_seconds: float | None = None,
        newer_than_seconds: float | None = None,
        all: bool = False,  # noqa: A002 - the name of the contract
        dry_run: bool = False,
        limit: int | None = None,
        **options: Unpack[CallOptions],
    ) -> DeadLettersPurged:
        """Remove those that match, for good; they are chosen as by `replay`."""
        payload = present(
            ids=None if ids is None else [*ids],
            reason=reason,
            action=action,
            agent=agent,
            older_than_seconds=older_than_seconds,
            newer_than_seconds=newer_than_seconds,
            all=all or None,
            dry_run=dry_run or None,
            limit=limit,
        )
        action_name = "agent_dead_letters_purge"
        response = await ask(self._client, self._agent, action_name, payload, options)
        return parsed(DeadLettersPurged, response.result)
