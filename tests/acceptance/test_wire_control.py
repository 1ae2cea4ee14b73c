"""Cancellations and locks of a real process, by a client that knows nothing but AMQP and JSON."""

import asyncio
import itertools
from typing import Any

import pytest

from tests.acceptance.conftest import Served
from tests.acceptance.hearing import tell
from tests.acceptance.plain_client import PATIENCE, PlainClient
from tests.services import unique_name

pytestmark = pytest.mark.amqp


@pytest.fixture
def name() -> str:
    """A collection, a lock and a sender that no other test uses."""
    return unique_name()


def save(name: str, message_id: str, **payload: Any) -> dict[str, Any]:
    payload = {"task": {}, "collection": name} | payload
    return {"id": message_id, "sender": name, "action": "storage_save", "payload": payload}


def lock(action: str, name: str, **payload: Any) -> dict[str, Any]:
    return {"action": f"lock_{action}", "payload": {"name": name, **payload}}


async def cancel(served: Served, message_id: str, sender: str | None) -> None:
    body = {"type": "cancel", "message_id": message_id, "sender": sender}
    await tell(served.bus, f"{served.namespace}.control", "storage.cancel", body)


async def cancelled(client: PlainClient, served: Served, name: str) -> tuple[dict[str, Any], int]:
    """A save whose cancellation was heard before it came, and how many others were done: the two
    travel apart, so one may overtake the other."""
    async with asyncio.timeout(PATIENCE):
        for number in itertools.count():
            message = save(name, f"m{number}")
            await cancel(served, message["id"], name)
            answer = await client.ask(message)
            if answer["status"] == "error":
                assert answer["error_type"] == "cancelled", answer
                assert "replayed" not in answer["meta"] if "meta" in answer else True
                return message, number
    raise AssertionError


async def count(client: PlainClient, name: str) -> Any:
    said = {"action": "storage_count", "payload": {"collection": name}}
    return (await client.ask(said))["result"]


# -- cancellation --------------------------------------------------------------------------------


async def test_a_cancelled_message_is_not_executed_and_never_will_be(
    client: PlainClient, served: Served, name: str
) -> None:
    message, done = await cancelled(client, served, name)
    assert await count(client, name) == done
    again = await client.ask(message)
    assert (again["error_type"], again["meta"]) == ("cancelled", {"replayed": True})
    assert await count(client, name) == done


async def test_what_was_done_before_its_cancellation_is_answered_and_says_so(
    client: PlainClient, served: Served, name: str
) -> None:
    first = await client.ask(save(name, "done"))
    await cancel(served, "done", name)
    async with asyncio.timeout(PATIENCE):
        while "cancel" not in (again := await client.ask(save(name, "done")))["meta"]:
            pass  # each answer takes its time
    assert again["result"] == first["result"]
    assert again["meta"] == first["meta"] | {"replayed": True, "cancel": "too_late"}
    assert await count(client, name) == 1


async def test_only_its_own_sender_cancels_a_message(
    client: PlainClient, served: Served, name: str
) -> None:
    await cancel(served, "mine", "another")
    await cancel(served, "mine", None)
    await cancelled(client, served, name)  # control messages come in their order
    answer = await client.ask(save(name, "mine"))
    assert answer["status"] == "success"
    assert "cancel" not in answer["meta"]


async def test_a_message_without_a_sender_is_cancelled_without_one(
    client: PlainClient, served: Served, name: str
) -> None:
    await cancel(served, name, None)
    await cancelled(client, served, name)  # control messages come in their order
    message = {key: value for key, value in save(name, name).items() if key != "sender"}
    assert (await client.ask(message))["error_type"] == "cancelled"


async def test_nonsense_on_the_control_exchange_harms_nobody(
    client: PlainClient, served: Served, name: str
) -> None:
    nonsense: list[Any] = [
        *(1, [], "cancel", None, {}, {"type": "cancel"}, {"type": "dance", "message_id": "a"}),
        {"type": "cancel", "message_id": 7, "sender": name},
        {"type": "cancel", "message_id": "x" * 200_000, "sender": name},
        {"type": "cancel", "message_id": "a", "sender": ["me"]},
    ]
    for body in nonsense:
        await tell(served.bus, f"{served.namespace}.control", "storage.cancel", body)
    await cancelled(client, served, name)
    assert (await client.ask(save(name, "a")))["status"] == "success"


# -- locks ---------------------------------------------------------------------------------------


async def test_of_many_who_ask_for_a_lock_one_gets_it(client: PlainClient, name: str) -> None:
    asked = (client.ask(lock("acquire", name, lease_seconds=60, owner=f"o{n}")) for n in range(30))
    answers = await asyncio.gather(*asked)
    (winner,) = [answer for answer in answers if answer["status"] == "success"]
    assert winner["result"]["token"] == 1
    for loser in answers:
        if loser is not winner:
            assert loser["error_type"] == "conflict"
            assert loser["details"]["owner"] == winner["result"]["owner"]
            assert 0 < loser["details"]["retry_after_seconds"] <= 60
    holder = await client.ask(lock("get", name))
    assert holder["result"] == winner["result"]


async def test_the_owner_is_the_sender_by_default(client: PlainClient, name: str) -> None:
    said = lock("acquire", name, lease_seconds=60)
    assert (await client.ask(said | {"sender": "somebody"}))["result"]["owner"] == "somebody"
    other = lock("acquire", f"{name}2", lease_seconds=60)
    assert (await client.ask(other))["result"]["owner"] == "anonymous"


async def test_a_lease_ends_by_itself_and_the_old_token_opens_nothing(
    client: PlainClient, name: str
) -> None:
    first = await client.ask(lock("acquire", name, lease_seconds=0.2, owner="slow"))
    async with asyncio.timeout(PATIENCE):
        while (second := await client.ask(lock("acquire", name, lease_seconds=60, owner="next")))[
            "status"
        ] == "error":
            pass  # each answer takes its time
    old, new = first["result"]["token"], second["result"]["token"]
    assert (old, new) == (1, 2)
    stale = await client.ask(save(name, "stale", fence={"lock": name, "token": old}))
    assert stale["error_type"] == "conflict"
    assert stale["details"] == {"lock": name, "current_token": new}
    assert (await client.ask(save(name, "fresh", fence={"lock": name, "token": new})))["result"]
    for action in ("renew", "release"):
        more = {"lease_seconds": 60} if action == "renew" else {}
        late = await client.ask(lock(action, name, token=old, **more))
        assert (late["error_type"], late["details"]) == ("conflict", {"current_token": new})
    assert await count(client, name) == 1


async def test_the_same_acquisition_twice_is_one(client: PlainClient, name: str) -> None:
    said = lock("acquire", name, lease_seconds=60) | {"id": "acquire", "sender": name}
    answers = await asyncio.gather(*(client.ask(said) for _ in range(5)))
    assert all(answer["result"] == answers[0]["result"] for answer in answers)
    assert sum("replayed" not in answer["meta"] for answer in answers) == 1


async def test_a_batch_is_fenced_as_a_whole(client: PlainClient, name: str) -> None:
    operations = [{"action": "storage_save", "payload": {"task": {"n": n}}} for n in range(3)]
    said = {
        "action": "storage_batch",
        "payload": {
            "collection": name,
            "operations": operations,
            "atomic": False,
            "fence": {"lock": name, "token": 1},
        },
    }
    refused = await client.ask(said)
    assert refused["details"] == {"lock": name, "current_token": None}
    await client.ask(lock("acquire", name, lease_seconds=60))
    done = await client.ask(said)
    assert [outcome["meta"]["sequence"] for outcome in done["result"]] == [1, 2, 3]
