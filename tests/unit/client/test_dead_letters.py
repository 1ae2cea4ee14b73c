"""The dead letters' helpers: what they ask, and what they give back."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from holdfast_protocol import AgentClient, InternalError, NotFoundError, ValidationError
from holdfast_protocol.actions import ACTIONS, parse_payload
from holdfast_protocol.client import DeadLettersClient
from tests.unit.client.responder import failing, giving
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time

LETTER: dict[str, JsonValue] = {
    "id": "1",
    "reason": "validation_error",
    "agent": "storage",
    "error": "No.",
    "action": "storage_save",
    "message_id": "m",
    "sender": "planner",
    "routing_key": "storage.storage_save",
    "attempts": 2,
    "at": "2026-01-02T03:04:05Z",
    "bytes": 12,
}
FILTERS: dict[str, JsonValue] = {
    "reason": "a",
    "action": "b",
    "agent": "c",
    "older_than_seconds": 5,
    "newer_than_seconds": 9.5,
    "limit": 3,
}


@in_virtual_time
async def test_listing() -> None:
    async with scene(giving([LETTER, {**LETTER, "action": None, "at": None}])) as at:
        first, second = await at.client.dead_letters.list()
        assert (first.id, first.reason, first.attempts, first.bytes) == (
            "1",
            "validation_error",
            2,
            12,
        )
        assert first.at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert (second.action, second.at) == (None, None)


@in_virtual_time
async def test_showing() -> None:
    async with scene(
        giving({**LETTER, "message": {"a": [1]}}), giving({**LETTER, "text": "x"})
    ) as at:
        assert (await at.client.dead_letters.show("1")).message == {"a": [1]}
        assert (await at.client.dead_letters.show("1")).text == "x"
    async with scene(failing("not_found")) as at:
        with pytest.raises(NotFoundError):
            await at.client.dead_letters.show("1")


@in_virtual_time
async def test_replaying_and_purging() -> None:
    counts: dict[str, JsonValue] = {"matched": 3, "replayed": 2, "failed": 1, "dry_run": False}
    async with scene(giving(counts)) as at:
        done = await at.client.dead_letters.replay(all=True)
        assert (done.matched, done.replayed, done.failed, done.dry_run) == (3, 2, 1, False)
    async with scene(giving({"matched": 3, "purged": 0, "dry_run": True})) as at:
        told = await at.client.dead_letters.purge(reason="expired", dry_run=True)
        assert (told.matched, told.purged, told.dry_run) == (3, 0, True)


Use = Callable[[AgentClient], Awaitable[object]]


@pytest.mark.parametrize(
    ("use", "action", "payload"),
    [
        (lambda c: c.dead_letters.list(), "agent_dead_letters", {}),
        (lambda c: c.dead_letters.list(**FILTERS), "agent_dead_letters", FILTERS),
        (lambda c: c.dead_letters.show("7"), "agent_dead_letter", {"id": "7"}),
        (
            lambda c: c.dead_letters.replay(ids=("1", "2"), dry_run=True, **FILTERS),
            "agent_dead_letters_replay",
            {"ids": ["1", "2"], "dry_run": True, **FILTERS},
        ),
        (lambda c: c.dead_letters.replay(all=True), "agent_dead_letters_replay", {"all": True}),
        (
            lambda c: c.dead_letters.purge(ids=["1"], **FILTERS),
            "agent_dead_letters_purge",
            {"ids": ["1"], **FILTERS},
        ),
    ],
)
def test_what_they_ask(use: Use, action: str, payload: Mapping[str, object]) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene(giving(None)) as at:
            with pytest.raises(InternalError, match="contract"):
                await use(at.client)
            (message,) = at.agent.received[0].messages
            assert (message.action, message.payload) == (action, payload)
            parse_payload(ACTIONS[action], message.payload)

    run()


@in_virtual_time
async def test_by_way_of_another_agent_and_with_options() -> None:
    async with scene(failing("validation_error")) as at:
        with pytest.raises(ValidationError):
            await DeadLettersClient(at.client, "storage").purge(message_id="m", timeout=3)
        assert at.agent.received[0].ids == ["m"]
