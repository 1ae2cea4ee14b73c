"""What was given up is seen, sent again and removed: the real command, a real broker."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from tests.acceptance.mending import Operator
from tests.acceptance.plain_client import PlainClient, connected
from tests.acceptance.serving import PATIENCE, Serving, serving
from tests.services import unique_name

pytestmark = pytest.mark.amqp

SAVE = {"action": "storage_save", "payload": {"task": {"title": "kelp"}}, "sender": "me"}


class System:
    """A storage service over one store, which comes and goes, and a stranger's client."""

    def __init__(self, bus: str, namespace: str, folder: Path, client: PlainClient) -> None:
        self._bus = bus
        self._namespace = namespace
        self._store = f"sqlite:///{folder / 'store.db'}"
        self.client = client
        self.operator = Operator(bus, namespace)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Serving]:
        """The service for as long as the block lasts; it ends well."""
        async with serving(self._bus, self._store, self._namespace) as process:
            yield process
            assert await process.end() == 0

    async def publish_expiring(
        self, *said: object, message_id: str | None = None, correlation_id: str | None = None
    ) -> None:
        """Messages that the broker gives up when nobody takes them within a millisecond."""
        properties: dict[str, Any] = {
            "message_id": message_id,
            "correlation_id": correlation_id,
            "reply_to": self.client.reply_to,
            "expiration": timedelta(milliseconds=1),
            "delivery_mode": aio_pika.DeliveryMode.PERSISTENT,
        }
        async with self._exchange("messages") as exchange:
            messages = [aio_pika.Message(json.dumps(one).encode(), **properties) for one in said]
            sent = (exchange.publish(message, "storage.storage_save") for message in messages)
            await asyncio.wait_for(asyncio.gather(*sent), PATIENCE)

    async def bury(self, body: bytes, message_id: str, *, routing_key: str) -> None:
        """Put a dead letter there that none of our processes wrote."""
        message = aio_pika.Message(body, message_id=message_id)
        message.headers["x-holdfast-reason"] = "unavailable"
        message.headers["x-holdfast-routing-key"] = routing_key
        async with self._exchange("dead") as exchange:
            await asyncio.wait_for(exchange.publish(message, ""), PATIENCE)

    @asynccontextmanager
    async def _exchange(self, name: str) -> AsyncIterator[aio_pika.abc.AbstractExchange]:
        async with await aio_pika.connect(self._bus, timeout=PATIENCE) as connection:
            channel = await connection.channel()
            yield await channel.get_exchange(f"{self._namespace}.{name}", ensure=False)

    def replies(self) -> "asyncio.Queue[Any]":
        """What comes to the client's reply queue from now on."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self.client.listener = queue.put_nowait
        return queue

    async def count(self) -> Any:
        """How many records there are."""
        return (await self.client.ask({"action": "storage_count"}))["result"]

    async def until_count(self, count: int) -> None:
        """Until there are so many records."""
        async with asyncio.timeout(PATIENCE):
            while await self.count() != count:
                pass  # each answer takes its time


@pytest.fixture
async def system(amqp_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """A service that ran once, so that its queue is there, with dead letters of its own."""
    namespace = unique_name()
    async with connected(amqp_url, namespace) as client:
        yield System(amqp_url, namespace, tmp_path, client)


async def test_what_is_given_up_lands_with_the_reason_the_agent_and_the_time(
    system: System,
) -> None:
    operator, client = system.operator, system.client
    before = datetime.now(UTC)
    async with system.served():
        forbidden = SAVE | {"id": "forbidden"}
        body = json.dumps(forbidden).encode()
        await client.publish(body, reply_to="somebody.else", message_id="f")
        await client.publish(b'{"action": ', "storage.broken", message_id="b")
        await operator.until("forbidden_reply_to", "validation_error")
    await system.publish_expiring(SAVE, message_id="expiring")
    await operator.until("expired", "forbidden_reply_to", "validation_error")

    letters = {letter["reason"]: letter for letter in await operator.letters()}
    for letter in letters.values():
        at = datetime.fromisoformat(letter.pop("at"))
        assert before - timedelta(seconds=2) < at < datetime.now(UTC) + timedelta(seconds=2)
        assert (letter["agent"], letter["attempts"]) == ("storage", 1)
    assert letters["forbidden_reply_to"] == {
        "id": "f",
        "reason": "forbidden_reply_to",
        "agent": "storage",
        "error": "replies go to reply queues only",
        "action": "storage_save",
        "message_id": "forbidden",
        "sender": "me",
        "routing_key": "storage.any",
        "attempts": 1,
        "bytes": len(body),
    }
    broken = letters["validation_error"]
    assert (broken["id"], broken["routing_key"]) == ("b", "storage.broken")
    assert (broken["action"], broken["message_id"], broken["sender"]) == (None, None, None)
    assert "JSON" in broken["error"]
    expired = letters["expired"]
    assert (expired["id"], expired["action"]) == ("expiring", "storage_save")
    assert expired["routing_key"] == "storage.storage_save"

    assert await operator.reasons("--reason", "expired") == ["expired"]
    assert await operator.reasons("--action", "storage_save") == ["expired", "forbidden_reply_to"]
    assert await operator.reasons("--agent", "nobody") == []
    assert await operator.reasons("--newer-than", "1h") == sorted(letters)
    assert await operator.reasons("--older-than", "1h") == []

    assert "somebody.else" in await operator.dlq("show", "f")
    assert '"title": "kelp"' in await operator.dlq("show", "f")
    assert await operator.dlq("show", "b", "--raw") == '{"action": '


async def test_what_is_replayed_goes_its_original_way_and_is_answered(system: System) -> None:
    operator = system.operator
    async with system.served():
        pass
    await system.publish_expiring(SAVE, message_id="expiring", correlation_id="conversation")
    await operator.until("expired")
    counted = await operator.counted("replay", "--all", "--dry-run")
    assert counted == {"matched": 1, "replayed": 0, "failed": 0, "dry_run": True}
    assert await operator.reasons() == ["expired"]

    replies = system.replies()
    async with system.served():
        assert await system.count() == 0
        await replies.get()
        done = {"matched": 1, "replayed": 1, "failed": 0, "dry_run": False}
        assert await operator.counted("replay", "--reason", "expired") == done
        async with asyncio.timeout(PATIENCE):
            answer = await replies.get()
        assert (answer["status"], answer["in_reply_to"]) == ("success", "expiring")
        assert answer["result"] == {"id": 1, "title": "kelp"}
        assert await system.count() == 1
    assert await operator.reasons() == []


async def test_what_cannot_be_helped_comes_back_and_counts_its_attempts(system: System) -> None:
    operator = system.operator
    async with system.served():
        body = json.dumps(SAVE).encode()
        await system.client.publish(body, reply_to="somebody.else", message_id="f")
        await operator.until("forbidden_reply_to")
        assert (await operator.counted("replay", "f"))["replayed"] == 1
        await operator.until("forbidden_reply_to")
        (letter,) = await operator.letters()
        assert (letter["id"], letter["attempts"]) == ("f", 2)
        assert await system.count() == 0


async def test_a_replayed_message_that_was_done_before_takes_no_effect(system: System) -> None:
    """The same message, once executed and once given up: its identity is its AMQP id."""
    operator = system.operator
    async with system.served():
        await system.client.publish(json.dumps(SAVE).encode(), message_id="expiring")
        await system.until_count(1)
    replies = system.replies()
    await system.publish_expiring(SAVE, message_id="expiring")
    await operator.until("expired")
    async with system.served():
        await operator.counted("replay", "--all")
        async with asyncio.timeout(PATIENCE):
            answer = await replies.get()
        assert answer["meta"]["replayed"] is True
        assert await system.count() == 1


async def test_a_letter_that_anybody_forged_stops_no_other(system: System) -> None:
    """Who may write to the exchange of dead letters may write any header."""
    operator = system.operator
    async with system.served():
        body = json.dumps(SAVE).encode()
        await system.bury(body, "forged", routing_key="storage." + "a" * 300)
        await system.bury(body, "good", routing_key="storage.storage_save")
        await operator.until("unavailable", "unavailable")
        process = await operator.started("replay", "--all")
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 1
        assert [letter["id"] for letter in await operator.letters()] == ["forged"]
        await system.until_count(1)


async def test_what_is_purged_is_gone_for_good(system: System) -> None:
    operator = system.operator
    async with system.served():
        for number in range(5):
            await system.client.publish(b"{", message_id=str(number))
        body = json.dumps(SAVE).encode()
        await system.client.publish(body, reply_to="somebody.else", message_id="f")
        await operator.until("forbidden_reply_to", *["validation_error"] * 5)
    chosen = ("purge", "--reason", "validation_error")
    counted = await operator.counted(*chosen, "--dry-run")
    assert counted == {"matched": 5, "purged": 0, "dry_run": True}
    assert len(await operator.letters()) == 6
    counted = await operator.counted(*chosen, "--yes")
    assert counted == {"matched": 5, "purged": 5, "dry_run": False}
    assert await operator.reasons() == ["forbidden_reply_to"]
    assert await operator.dlq("purge", "f", "--yes") == "removed 1 dead letter\n"
    assert await operator.letters() == []


async def test_many_letters_are_replayed_and_each_is_answered(system: System) -> None:
    """All that was sent while the service was away, and had expired when it came back."""
    operator, count = system.operator, 300
    async with system.served():
        pass
    said = [SAVE | {"id": f"m{number}"} for number in range(count)]
    await system.publish_expiring(*said)
    await operator.until(*["expired"] * count)
    replies = system.replies()
    async with system.served():
        assert (await operator.counted("replay", "--all"))["replayed"] == count
        async with asyncio.timeout(PATIENCE):
            answers = [await replies.get() for _ in said]
        assert {answer["in_reply_to"] for answer in answers} == {one["id"] for one in said}
        assert {answer["status"] for answer in answers} == {"success"}
        assert await system.count() == count
    assert await operator.letters() == []


async def test_a_replay_that_is_killed_and_asked_for_again_has_every_effect_once(
    system: System,
) -> None:
    operator, count = system.operator, 400
    async with system.served():
        pass
    said = [SAVE | {"id": f"m{number}"} for number in range(count)]
    await system.publish_expiring(*said)
    await operator.until(*["expired"] * count)
    replies = system.replies()
    async with system.served():
        replaying = await operator.started("replay", "--all")
        async with asyncio.timeout(PATIENCE):
            for _ in range(20):
                await replies.get()
            replaying.kill()
            await replaying.wait()
            # What the dead process held is back as soon as the broker has seen it go.
            while await system.count() != count:
                await operator.counted("replay", "--all")


async def test_other_tools_do_the_same_by_messages_to_any_agent(system: System) -> None:
    operator, client = system.operator, system.client

    async def ask(action: str, **payload: object) -> Any:
        answer = await client.ask({"action": action, "payload": payload})
        return answer["result"] if answer["status"] == "success" else answer["error_type"]

    async with system.served():
        await client.publish(b"{", message_id="b")
        await client.publish(json.dumps(SAVE).encode(), reply_to="a.b", message_id="f")
        await operator.until("forbidden_reply_to", "validation_error")
        told = await ask("agent_dead_letters", reason="forbidden_reply_to")
        assert told == await operator.letters("--reason", "forbidden_reply_to")
        shown = await ask("agent_dead_letter", id="f")
        assert shown["message"] == SAVE
        assert (await ask("agent_dead_letter", id="b"))["text"] == "{"
        assert await ask("agent_dead_letter", id="x") == "not_found"
        assert await ask("agent_dead_letters_purge") == "validation_error"
        counted = await ask("agent_dead_letters_replay", ids=["f"], dry_run=True)
        assert counted == {"matched": 1, "replayed": 0, "failed": 0, "dry_run": True}
        counted = await ask("agent_dead_letters_replay", ids=["f"])
        assert counted == {"matched": 1, "replayed": 1, "failed": 0, "dry_run": False}
        await operator.until("forbidden_reply_to", "validation_error")
        counted = await ask("agent_dead_letters_purge", all=True)
        assert counted == {"matched": 2, "purged": 2, "dry_run": False}
    assert await operator.letters() == []
