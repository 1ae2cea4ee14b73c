"""The dead letters as messages: an agent with the rows, served on the in-process bus."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from holdfast_agents import SimpleAgent
from holdfast_agents.base.runner import Runner
from holdfast_agents.dead_letters import dead_letter_actions
from holdfast_protocol import AgentClient
from holdfast_protocol.actions import DEAD_LETTER_ACTIONS
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.messages import Publication
from holdfast_protocol.codec import compact_json
from holdfast_protocol.errors import NotFoundError, ValidationError
from holdfast_protocol.limits import MAX_RESPONSE_BYTES
from tests.unit.dead_letters.letters import bury, bury_many, left, opened


@asynccontextmanager
async def serving(
    *, response_limit: int = MAX_RESPONSE_BYTES
) -> AsyncIterator[tuple[MemoryBus, AgentClient]]:
    """An agent `storage` that can do nothing else, and a client."""
    async with opened() as bus:
        agent = SimpleAgent("storage", [])
        agent.extend(dead_letter_actions(bus, response_limit=response_limit))
        runner = Runner(agent, bus)
        await runner.start()
        running = asyncio.create_task(runner.run())
        try:
            async with AgentClient(bus=bus, sender="test") as client:
                yield bus, client
        finally:
            await runner.stop()
            await asyncio.wait_for(running, 5)


async def ask(client: AgentClient, action: str, **payload: Any) -> Any:
    """The result, checked against what the registry says of it."""
    response = await client.request("storage", action, payload)
    response.raise_for_error()
    spec = DEAD_LETTER_ACTIONS[action]
    adapter: TypeAdapter[object] = TypeAdapter(spec.result)  # type: ignore[arg-type]
    adapter.validate_python(response.result)
    return response.result


async def say(bus: MemoryBus, message: dict[str, Any]) -> Any:
    """What is answered to a message of whatever form."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    to = await bus.open_reply_address("test", lambda reply: answers.put_nowait(reply.body))
    await bus.publish(Publication("storage.x", json.dumps(message).encode(), reply_to=to.address))
    return json.loads(await asyncio.wait_for(answers.get(), 5))


async def test_an_agent_tells_of_them_and_describes_their_actions() -> None:
    async with serving() as (bus, client):
        await bury(bus, {"action": "a", "id": "m", "sender": "s"}, letter_id="one", to="x.y")
        await bury_many(bus, ["two"], reason="expired")
        (letter,) = await ask(client, "agent_dead_letters", reason="validation_error")
        assert letter.pop("at").endswith("Z")
        assert letter == {
            "id": "one",
            "reason": "validation_error",
            "agent": "storage",
            "error": "it was wrong",
            "action": "a",
            "message_id": "m",
            "sender": "s",
            "routing_key": "x.y",
            "attempts": 1,
            "bytes": 41,
        }
        described = await client.request("storage", "agent_describe", {})
        listed = json.dumps(described.result)
        assert all(f'"{name}"' in listed for name in DEAD_LETTER_ACTIONS)


async def test_a_list_says_whether_it_told_all() -> None:
    async with serving() as (bus, client):
        await bury_many(bus, map(str, range(150)))
        response = await client.request("storage", "agent_dead_letters", {})
        assert isinstance(response.result, list)
        assert len(response.result) == 100
        assert response.meta == {"total": 150, "complete": False}


async def test_a_list_ends_before_the_response_limit() -> None:
    limit = 2 * 1024 * 1024
    async with serving(response_limit=limit) as (bus, client):
        await bury_many(bus, map(str, range(1000)), error="ü€" * 1000, reason="€" * 255)
        response = await client.request("storage", "agent_dead_letters", {"limit": 1000})
        assert limit * 0.9 < len(json.dumps(response.result, ensure_ascii=False).encode()) < limit
        assert response.meta["complete"] is False


@pytest.mark.parametrize(
    "said",
    [
        {"action": "storage_save", "payload": {"task": {"deep": [[1.5e10, -0.0, "ü\u202e\x1b"]]}}},
        [{"action": "a"}, 7],
        [],
        "text",
        False,
        json.loads("[" * 90 + "]" * 90),
    ],
)
async def test_a_body_that_is_json_is_shown_as_it_is(said: Any) -> None:
    async with serving() as (bus, client):
        await bury(bus, said, letter_id="one")
        shown = await ask(client, "agent_dead_letter", id="one")
        assert (shown["message"], shown["text"]) == (said, None)
        assert await left(bus) == ["one"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"action": ', '{"action": '),
        (b'{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        (b'{"a": 9223372036854775808}', '{"a": 9223372036854775808}'),
        (b'["\\ud800"]', '["\\ud800"]'),
        (b"\xff\xfe\0", "��\0"),
        (b"null", "null"),
        (b"", ""),
        (b"[" * 200 + b"]" * 200, "[" * 200 + "]" * 200),
        (b"x" * 100_000, "x" * 65_536),
    ],
)
async def test_a_body_that_json_would_not_tell_exactly_is_shown_as_text(
    body: bytes, text: str
) -> None:
    async with serving() as (bus, client):
        await bury(bus, body, letter_id="one")
        shown = await ask(client, "agent_dead_letter", id="one")
        assert (shown["message"], shown["text"]) == (None, text)
        assert shown["bytes"] == len(body)


async def test_a_body_over_the_response_limit_is_cut() -> None:
    async with serving(response_limit=2 * 1024 * 1024) as (bus, client):
        await bury(bus, {"x": "y" * 3_000_000}, letter_id="one")
        shown = await ask(client, "agent_dead_letter", id="one")
        assert shown["message"] is None
        assert len(shown["text"]) == 65_536


async def test_a_body_that_grows_beyond_the_response_limit_when_it_is_told_is_cut() -> None:
    limit = 2 * 1024 * 1024
    async with serving(response_limit=limit) as (bus, client):
        await bury(bus, b"[" + b"1e15," * 200_000 + b"1]", letter_id="numbers")
        await bury(bus, b"\0" * 100_000, letter_id="escapes")
        for letter_id in ("numbers", "escapes"):
            response = await client.request("storage", "agent_dead_letter", {"id": letter_id})
            assert isinstance(response.result, dict)
            assert response.result["message"] is None
            assert len(compact_json(response.result)) < limit


async def test_a_body_that_shrinks_below_the_response_limit_when_it_is_told_is_whole() -> None:
    async with serving(response_limit=2 * 1024 * 1024) as (bus, client):
        await bury(bus, b"[" + b" " * 3_000_000 + b"1]", letter_id="one")
        assert (await ask(client, "agent_dead_letter", id="one"))["message"] == [1]


async def test_an_unknown_letter_is_not_found() -> None:
    async with serving() as (_bus, client):
        with pytest.raises(NotFoundError, match="Dead letter one not found"):
            await ask(client, "agent_dead_letter", id="one")


async def test_letters_are_sent_again_and_removed() -> None:
    async with serving() as (bus, client):
        ping = {"action": "agent_ping"}
        await bury(bus, ping, letter_id="ping", to="storage.agent_ping")
        await bury(bus, ping, letter_id="lost", to="nobody.agent_ping")
        payload = {"all": True, "dry_run": True}
        counted = await ask(client, "agent_dead_letters_replay", **payload)
        assert counted == {"matched": 2, "replayed": 0, "failed": 0, "dry_run": True}
        response = await client.request("storage", "agent_dead_letters_replay", {"all": True})
        assert response.result == {"matched": 2, "replayed": 1, "failed": 1, "dry_run": False}
        assert response.meta == {"failures": {"no_route": 1}}
        purged = await ask(client, "agent_dead_letters_purge", ids=["lost", "gone"])
        assert purged == {"matched": 1, "purged": 1, "dry_run": False}
        assert await left(bus) == []


@pytest.mark.parametrize(
    ("action", "done"),
    [("agent_dead_letters_replay", "replayed"), ("agent_dead_letters_purge", "purged")],
)
@pytest.mark.parametrize("chosen", [{"all": True}, {"ids": ["a"]}, {"reason": "expired"}])
async def test_who_asks_again_reaches_nothing_that_came_since(
    action: str, done: str, chosen: dict[str, Any]
) -> None:
    async with serving() as (bus, client):
        await bus.consume("other")
        sent = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
        body = {"action": action, "payload": chosen, "timestamp": sent.isoformat()}
        for seconds in (-1, 0, 1):
            at = sent + timedelta(seconds=seconds)
            await bury(bus, {}, letter_id="a", reason="expired", to="other.x", at=at)
        assert (await say(bus, body))["result"][done] == 2
        assert (await say(bus, body))["result"][done] == 0
        assert await left(bus) == ["a"]
        assert (await ask(client, action, **chosen))[done] == 1


@pytest.mark.parametrize("action", ["agent_dead_letters_replay", "agent_dead_letters_purge"])
async def test_something_must_say_which(action: str) -> None:
    async with serving() as (bus, client):
        await bury_many(bus, ["a"])
        with pytest.raises(ValidationError):
            await ask(client, action, dry_run=False)
        assert await left(bus) == ["a"]


async def test_the_typed_client_finds_its_way() -> None:
    async with serving() as (bus, client):
        await bury_many(bus, ["a", "b"])
        (letter, _other) = await client.dead_letters.list()
        assert letter.at is not None
        detail = await client.dead_letters.show(letter.id)
        assert detail.message == {"action": "storage_save"}
        assert (await client.dead_letters.purge(all=True)).purged == 2


async def test_several_at_once_take_turns() -> None:
    async with serving() as (bus, client):
        await bury_many(bus, map(str, range(500)))
        asked = (ask(client, "agent_dead_letters", limit=1000) for _ in range(20))
        assert {len(letters) for letters in await asyncio.gather(*asked)} == {500}
