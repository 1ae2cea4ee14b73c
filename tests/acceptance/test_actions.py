"""Every action of the contract's section 6 in one array, its answers compared as JSON."""

from typing import Any

import pytest

from tests.acceptance.exchanges import EXCHANGES, OF_EVENTS
from tests.acceptance.plain_client import PlainClient
from tests.acceptance.shapes import settled

pytestmark = pytest.mark.amqp

_AGENTS_OWN = {
    "agent_ping",
    "agent_describe",
    "agent_stats",
    "agent_dead_letters",
    "agent_dead_letter",
    "agent_dead_letters_replay",
    "agent_dead_letters_purge",
}


async def test_every_action_answers_to_the_letter(client: PlainClient) -> None:
    answers = await client.ask_all(said for said, _ in EXCHANGES)
    assert isinstance(answers["list"]["meta"]["next_cursor"], str)
    answers["list"]["meta"]["next_cursor"] = "<cursor>"
    assert isinstance(answers["index"]["result"]["ready"], bool)
    answers["index"]["result"]["ready"] = "<ready>"
    # The store is shared with other tests, and their collections.
    listed = answers["collections"]["result"]
    assert [entry["collection"] for entry in listed] == sorted(e["collection"] for e in listed)
    answers["collections"]["result"] = [e for e in listed if e["collection"] == "kelp"]
    assert 0 < answers["held"]["details"]["retry_after_seconds"] <= 3600
    answers["held"]["details"]["retry_after_seconds"] = "<seconds>"
    answers |= await client.ask_all(said for said, _ in OF_EVENTS)
    listed = answers["positions"]["result"]
    assert [entry["collection"] for entry in listed] == sorted(e["collection"] for e in listed)
    answers["positions"]["result"] = [e for e in listed if e["collection"] == "kelp"]
    for said, expected in [*EXCHANGES, *OF_EVENTS]:
        assert _told(settled(answers[said["id"]])) == _told(expected), said


async def test_every_agent_tells_of_itself(client: PlainClient) -> None:
    actions = ("agent_ping", "agent_describe", "agent_stats")
    answers = await client.ask_all({"id": action, "action": action} for action in actions)
    assert settled(answers["agent_ping"])["result"] == {"agent": "storage", "timestamp": "<moment>"}
    described = answers["agent_describe"]["result"]
    names = [action["action"] for action in described["actions"]]
    exchanged = {said["action"] for said, _ in [*EXCHANGES, *OF_EVENTS]}
    assert names == sorted(exchanged | _AGENTS_OWN)
    assert all(
        {"payload", "result", "summary", "writes"} <= action.keys()
        for action in described["actions"]
    )
    assert answers["agent_stats"]["result"]["counters"]["messages"] > 0


def _told(response: dict[str, Any]) -> dict[str, Any]:
    """Absent, null and empty are the same for `meta` and `details` of a response."""
    if isinstance(result := response.get("result"), list):
        response = response | {
            "result": [_told(item) if _is_outcome(item) else item for item in result]
        }
    return {key: value for key, value in response.items() if value not in ({}, None)}


def _is_outcome(item: Any) -> bool:
    return isinstance(item, dict) and "status" in item
