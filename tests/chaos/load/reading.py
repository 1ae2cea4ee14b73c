"""What a system holds when a load is over: records, events, dead letters, queues."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import HoldfastError, NotFoundError
from tests.chaos.history import Kept
from tests.chaos.load.dialling import LOST, WAIT, dialled

_PAUSE: Final = 0.2
_PAGE: Final = 1_000
REFUSED: Final = "validation_error"
"""The reason of dead letters that the load makes on purpose. Each is one message, no array."""


class NotBackError(Exception):
    """The system does not answer any more, long after everything was mended."""


class Reader:
    """Reads until it is answered. Everything raises NotBackError when the patience is over.

    Args:
        patience: seconds within which a system has to come back after the last fault.
    """

    def __init__(self, client: AgentClient, patience: float) -> None:
        self._client = client
        self._patience = patience

    async def kept(self, collection: str) -> Kept:
        """A collection as it is."""
        records: dict[int | str, Mapping[str, Any]] = {}
        versions: dict[int | str, int] = {}
        said: dict[str, object] = {"collection": collection, "limit": _PAGE, "with_meta": True}
        cursor: object = None
        while True:
            page, meta = await self.insist("storage_list", said | {"cursor": cursor})
            records |= {document["id"]: document for document in page}
            versions |= {facts["id"]: facts["version"] for facts in meta["records"]}
            cursor = meta["next_cursor"]
            if cursor is None:
                return Kept(records, versions, await self.events(collection))

    async def events(self, collection: str) -> list[Mapping[str, Any]]:
        """All events of a collection, as `storage_events` tells them; lost ones are left out."""
        events: list[Mapping[str, Any]] = []
        after = 0
        while True:
            payload = {"collection": collection, "after": after, "limit": _PAGE}
            try:
                page, meta = await self.insist("storage_events", payload)
            except NotFoundError as error:
                after = max(after + 1, _first_kept(error) - 1)
                continue
            events += page
            if not page or page[-1]["sequence"] >= meta["last_sequence"]:
                return events
            after = page[-1]["sequence"]

    async def dead_letters(self, token: str) -> dict[str, str]:
        """The dead letters of one load: message id → reason."""
        letters = await self._letters()
        found: dict[str, str] = {}
        for letter in letters:
            for message_id in await self._messages_of(letter):
                if isinstance(message_id, str) and message_id.startswith(token):
                    found[message_id] = letter["reason"]
        return found

    async def _letters(self) -> list[Mapping[str, Any]]:
        """All there are, once nobody else holds some of them."""
        give_up_at = time.monotonic() + self._patience
        while True:
            letters, meta = await self.insist("agent_dead_letters", {"limit": _PAGE})
            if meta["complete"]:
                found: list[Mapping[str, Any]] = letters
                return found
            if time.monotonic() >= give_up_at:
                raise NotBackError(f"{len(letters)} of {meta['total']} dead letters are told")
            await asyncio.sleep(_PAUSE)

    async def remove_refused(self) -> None:
        """Remove the dead letters that are there on purpose: the next load makes its own."""
        await self.insist("agent_dead_letters_purge", {"reason": REFUSED})

    async def insist(self, action: str, payload: Mapping[str, object]) -> Any:
        """Result and meta of a read that must succeed in the end. Raises NotFoundError."""
        give_up_at = time.monotonic() + self._patience
        while True:
            try:
                response = await self._client.request("storage", action, payload)
                response.raise_for_error()
            except NotFoundError:
                raise  # an answer
            except HoldfastError as error:
                if time.monotonic() >= give_up_at:
                    raise NotBackError(f"{action} of {payload}: {error}") from error
                await asyncio.sleep(_PAUSE)
            else:
                return response.result, response.meta

    async def _messages_of(self, letter: Mapping[str, Any]) -> list[object]:
        """The ids of what a dead letter holds."""
        if letter["reason"] == REFUSED:
            return [letter["message_id"]]
        try:
            body, _meta = await self.insist("agent_dead_letter", {"id": letter["id"]})
        except NotFoundError:
            return []  # somebody removed it meanwhile
        said = body.get("message")
        messages = said if isinstance(said, list) else [said]
        return [message.get("id") for message in messages if isinstance(message, dict)]


def _first_kept(error: NotFoundError) -> int:
    """The first event behind a hole."""
    first = error.details["first_sequence"]
    assert isinstance(first, int)
    return first


async def left_in_queue(bus: str, namespace: str, patience: float) -> int:
    """How many messages still wait for the agent, once that is none or the patience is over.

    -1 where the broker does not say.
    """
    give_up_at = time.monotonic() + patience
    while True:
        waiting = await _depth(bus, f"{namespace}.agent.storage")
        if waiting == 0 or time.monotonic() >= give_up_at:
            return waiting
        await asyncio.sleep(_PAUSE)


async def _depth(bus: str, queue: str) -> int:
    try:
        async with dialled(bus) as connection:
            channel = await connection.channel()
            declared = await channel.declare_queue(queue, passive=True, timeout=WAIT)
            return declared.declaration_result.message_count or 0
    except LOST:
        return -1
