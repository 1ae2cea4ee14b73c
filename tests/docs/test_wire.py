"""docs/wire.md says what the code does: its examples happen, its tables are the registry's."""

import asyncio
import json
import re
from typing import Any

import pytest

from holdfast_agents import settings
from holdfast_agents.wiring import open_service
from holdfast_backends import filters, operations, values
from holdfast_backends.filters import parse_filter
from holdfast_protocol import AgentMessage, AgentResponse, HoldfastError, limits
from holdfast_protocol.actions import ACTIONS, STORAGE_ACTIONS
from holdfast_protocol.bus.contract import Publication, ReplyDelivery
from holdfast_protocol.codec import Refusal, decode_messages, decode_responses
from tests.docs.pages import README, WIRE, blocks, names, rows, section

_SAID, _ANSWERED = blocks(WIRE, "json")
_PATIENCE = 15.0  # seconds: a bound for what must happen, never a pause
_MOMENT = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"')


def test_the_example_message_is_a_message() -> None:
    (message,) = decode_messages(_SAID.encode()).items
    assert not isinstance(message, Refusal)
    assert (message.action, message.id, message.sender) == ("storage_save", "b7c1", "me")


def test_the_example_response_is_a_response() -> None:
    (response,) = decode_responses(_ANSWERED.encode())
    assert response.ok
    assert json.loads(_ANSWERED).keys() <= AgentResponse.model_fields.keys()


async def test_the_first_exchange_happens_to_the_letter() -> None:
    replies: asyncio.Queue[ReplyDelivery] = asyncio.Queue()
    async with open_service() as service:
        serving = asyncio.create_task(service.run())
        address = await service.bus.open_reply_address("you", replies.put_nowait)
        said = Publication("storage.storage_save", _SAID.encode(), "yours", address.address)
        await service.bus.publish(said)
        async with asyncio.timeout(_PATIENCE):
            reply = await replies.get()
        await service.stop()
        await serving
    assert reply.correlation_id == "yours"
    assert _without_moments(reply.body.decode()) == _without_moments(_ANSWERED)


def _without_moments(text: str) -> Any:
    """The fields in their order; only the id and the moments differ from run to run."""
    fields = json.loads(_MOMENT.sub('"<moment>"', text))
    return list((fields | {"id": "<uuid>"}).items())


# -- tables --------------------------------------------------------------------------------------


def test_every_action_is_described_and_every_described_action_exists() -> None:
    text = WIRE.read_text()
    described = {name for cells in rows(section(WIRE, 6)) for name in names(cells[0])}
    assert {name for name in described if name.startswith("storage_")} == set(STORAGE_ACTIONS)
    named = set(re.findall(r"`((?:storage|agent)_[a-z_]+)`", text))
    assert named - {"storage_error"} == set(ACTIONS)


def test_the_readme_names_every_action_and_no_other() -> None:
    named = set(re.findall(r"`((?:storage|agent)_[a-z_]+)`", README.read_text()))
    assert named == set(ACTIONS)


@pytest.mark.parametrize("action", sorted(STORAGE_ACTIONS))
def test_every_payload_field_is_described_and_every_described_field_exists(action: str) -> None:
    (cells,) = [cells for cells in rows(section(WIRE, 6)) if names(cells[0]) == [action]]
    fields = set(STORAGE_ACTIONS[action].payload_schema()["properties"])  # type: ignore[arg-type]
    described = {name for name in names(cells[1]) if re.fullmatch("[a-z_]+", name)}
    # Told once for all actions: `collection`, and the second name of a record. A document's
    # `id` is told of with it.
    assert described - {"id"} == fields - {"collection", "record", "record_id"}


def test_every_error_type_is_described_and_every_described_type_exists() -> None:
    text = section(WIRE, 4)
    described = {name for cells in rows(text) for name in names(cells[0])}
    _, _, on_the_client = text.partition("On the client's side")
    described |= {name for name in names(on_the_client) if re.fullmatch("[a-z_]+", name)}
    assert described == {kind.error_type for kind in HoldfastError.__subclasses__()}


def test_what_is_said_to_be_worth_a_retry_is_retried() -> None:
    worth = {
        name
        for cells in rows(section(WIRE, 4))
        for name in names(cells[0])
        if cells[2].startswith("yes")
    }
    on_the_client = {"no_route", "timeout"}
    retryable = {kind.error_type for kind in HoldfastError.__subclasses__() if kind.retryable}
    assert retryable - on_the_client == worth


def test_the_fields_of_a_message_are_those_of_the_model() -> None:
    described = [name for cells in rows(section(WIRE, 2)) for name in names(cells[0])]
    assert sorted(described) == sorted(AgentMessage.model_fields)
    required = [names(c[0])[0] for c in rows(section(WIRE, 2)) if c[2] == "yes"]
    assert required == [n for n, field in AgentMessage.model_fields.items() if field.is_required()]


def test_the_fields_of_a_response_are_those_of_the_model() -> None:
    described = [name for cells in rows(section(WIRE, 3)) for name in names(cells[0])]
    assert sorted(described) == sorted(AgentResponse.model_fields)


def test_the_limits_are_those_of_the_code() -> None:
    text = " ".join(WIRE.read_text().split())
    mebi = 1024 * 1024
    kept = settings.Settings.model_fields
    for said in (
        f"over the message limit ({limits.MAX_MESSAGE_BYTES // mebi} MiB)",
        f"the response limit ({limits.MAX_RESPONSE_BYTES // mebi} MiB by default)",
        f"a JSON array of 1–{limits.MAX_MESSAGES:,} of them",
        f"The codec accepts {limits.MAX_MESSAGE_LEVELS} levels of nesting",
        f"at most {values.MAX_DOCUMENT_BYTES // mebi} MiB, {values.MAX_LEVELS} levels",
        f"keys up to {values.MAX_KEY_CHARS} characters",
        f"a string of 1–{values.MAX_ID_CHARS} characters",
        f"a number > 0 and ≤ {values.MAX_TTL_SECONDS:,};",
        f"a filter has at most {filters.MAX_NODES} nodes and {filters.MAX_LEVELS} levels",
        f"to none of at most {filters.MAX_CHOICES:,} values",
        f"`limit` is 1–{operations.MAX_LIMIT:,}",
        f"(storage actions, 1–{operations.MAX_OPERATIONS:,})",
        f"returns the paths as given, at most {operations.MAX_INDEX_PATHS}",
        f"`HOLDFAST_RETRY_SECONDS` ({kept['retry_seconds'].default:g} by default)",
        f"Identities are kept {kept['retention_days'].default:g} days by default",
    ):
        assert said in text, said


def test_every_described_operator_is_one() -> None:
    operands: dict[str, Any] = {
        "$in": [1],
        "$nin": [1],
        "$exists": True,
        "$prefix": "x",
        "$not": {"$eq": 1},
    }
    described = [name for cells in rows(section(WIRE, 7)) for name in names(cells[0])]
    assert len(described) == len(set(described)) == 14
    for name in described:
        if name in ("$and", "$or"):
            parse_filter({name: [{"a": 1}]})
        else:
            parse_filter({"a": {name: operands.get(name, 1)}})
