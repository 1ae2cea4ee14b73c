"""What a system holds when a load is over: records, events, dead letters, queues."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import HoldfastError
from tests.chaos.history import Kept
from tests.chaos.load.dialling import LOST, WAIT, dialled

PATIENCE: Final = 60.0
"""Seconds within which a system has to come back after the last fault."""
_PAUSE: Final = 0.2
_PAGE: Final = 1_000
_OF_ONE: Final = frozenset({"validation_error"})
"""Reasons for which an agent gives up one message, and not a whole array."""


class NotBackError(Exception):
    """The system does not answer any more, long after everything was mended."""


async def read_kept(client: AgentClient, collection: str) -> Kept:
    """A collection as it is. Raises NotBackError."""
    records: dict[int | str, Mapping[str, Any]] = {}
    versions: dict[int | str, int] = {}
    cursor: object = None
    while True:
        payload = {"collection": collection, "limit": _PAGE, "with_meta": True, "cursor": cursor}
        page, meta = await insist(client, "storage_list", payload)
        records |= {document["id"]: document for document in page}
        versions |= {facts["id"]: facts["version"] for facts in meta["records"]}
        cursor = meta["next_cursor"]
        if cursor is None:
            return Kept(records, versions, await read_events(client, collection))


async def read_events(client: AgentClient, collection: str) -> list[Mapping[str, Any]]:
    """All events of a collection, as `storage_events` tells them. Raises NotBackError."""
    events: list[Mapping[str, Any]] = []
    after = 0
    while True:
        payload = {"collection": collection, "after": after, "limit": _PAGE}
        page, meta = await insist(client, "storage_events", payload)
        events += page
        if not page or page[-1]["sequence"] >= meta["last_sequence"]:
            return events
        after = page[-1]["sequence"]


async def insist(client: AgentClient, action: str, payload: Mapping[str, object]) -> Any:
    """Result and meta of a read that must succeed in the end. Raises NotBackError."""
    give_up_at = time.monotonic() + PATIENCE
    while True:
        try:
            response = await client.request("storage", action, payload)
            response.raise_for_error()
        except HoldfastError as error:
            if time.monotonic() >= give_up_at:
                raise NotBackError(f"{action} of {payload}: {error}") from error
            await asyncio.sleep(_PAUSE)
        else:
            return response.result, response.meta


async def read_dead_letters(client: AgentClient, token: str) -> dict[str, str]:
    """The dead letters of one load: message id → reason. Raises NotBackError."""
    letters, _meta = await insist(client, "agent_dead_letters", {"limit": _PAGE})
    found: dict[str, str] = {}
    for letter in letters:
        first = letter["message_id"]
        if letter["reason"] in _OF_ONE and isinstance(first, str):
            if first.startswith(token):
                found[first] = letter["reason"]
            continue
        body, _meta = await insist(client, "agent_dead_letter", {"id": letter["id"]})
        said = body.get("message")
        for message in said if isinstance(said, list) else [said]:
            message_id = message.get("id") if isinstance(message, dict) else None
            if isinstance(message_id, str) and message_id.startswith(token):
                found[message_id] = letter["reason"]
    return found


async def remove_dead_letters(client: AgentClient, reason: str) -> None:
    """So that the next load finds its own. Raises NotBackError."""
    await insist(client, "agent_dead_letters_purge", {"reason": reason})


async def left_in_queue(bus: str, namespace: str) -> int:
    """How many messages still wait for the agent, once that is none or the patience is over."""
    give_up_at = time.monotonic() + PATIENCE
    while True:
        waiting = await _depth(bus, f"{namespace}.agent.storage")
        if waiting == 0 or time.monotonic() >= give_up_at:
            return -1 if waiting is None else waiting
        await asyncio.sleep(_PAUSE)


async def _depth(bus: str, queue: str) -> int | None:
    """None where the broker does not say."""
    try:
        async with dialled(bus) as connection:
            channel = await connection.channel()
            declared = await channel.declare_queue(queue, passive=True, timeout=WAIT)
            return declared.declaration_result.message_count
    except LOST:
        return None
