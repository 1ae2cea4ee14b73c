"""docs/wire.md says what the code does: its examples happen, its tables are the registry's."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast_agents import settings
from holdfast_agents.journal import FileJournal
from holdfast_agents.wiring import ServiceOptions, open_service
from holdfast_backends import checks, filters, operations, outbox, values
from holdfast_backends.filters import parse_filter
from holdfast_protocol import AgentMessage, AgentResponse, HoldfastError, limits
from holdfast_protocol.actions import (
    ACTIONS,
    COMMON_ACTIONS,
    DEAD_LETTER_ACTIONS,
    EVENT_ACTIONS,
    LOCK_ACTIONS,
    STORAGE_ACTIONS,
    DeadLetter,
    DeadLettersPurged,
    DeadLettersReplayed,
    Lock,
)
from holdfast_protocol.bus.contract import Broadcast, Publication, ReplyDelivery
from holdfast_protocol.codec import Refusal, decode_messages, decode_responses
from holdfast_protocol.control import cancel_body, parse_control
from holdfast_protocol.events import ChangeEvent, decode_events
from holdfast_protocol.logs import read_log
from tests.docs.pages import README, WIRE, blocks, names, rows, section

_SAID, _ANSWERED, _CANCELLED, _JOURNALED, _TOLD = blocks(WIRE, "json")
_PATIENCE = 15.0  # seconds: a bound for what must happen, never a pause
_MOMENT = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"')
_ACTION = re.compile("`((?:storage|lock|agent)_[a-z_]+)`")
_DESCRIBED = {**STORAGE_ACTIONS, **EVENT_ACTIONS, **LOCK_ACTIONS, **DEAD_LETTER_ACTIONS}


def test_the_example_message_is_a_message() -> None:
    (message,) = decode_messages(_SAID.encode()).items
    assert not isinstance(message, Refusal)
    assert (message.action, message.id, message.sender) == ("storage_save", "b7c1", "me")


def test_the_example_response_is_a_response() -> None:
    (response,) = decode_responses(_ANSWERED.encode())
    assert response.ok
    assert json.loads(_ANSWERED).keys() <= AgentResponse.model_fields.keys()


def test_the_example_cancellation_cancels_the_example() -> None:
    cancel = parse_control(_CANCELLED.encode())
    assert cancel == ("b7c1", "me")
    assert json.loads(cancel_body("b7c1", "me")) == json.loads(_CANCELLED)


def test_the_example_event_is_an_event() -> None:
    (event,) = decode_events(_TOLD.encode())
    assert (event.id, event.message_id, event.sender) == ("tasks/1", "b7c1", "me")
    assert [*json.loads(_TOLD)] == [*ChangeEvent.__dataclass_fields__]
    assert "{" + ",".join(f'"{name}"' for name in json.loads(_TOLD)).replace(
        '"kind"', '"kind":"created|updated|deleted"'
    ) in section(WIRE, 9)


def test_the_example_line_is_one_of_a_log() -> None:
    (exchange,) = read_log([_JOURNALED])
    assert (exchange.message.id, exchange.response.in_reply_to) == ("b7c1", "b7c1")
    assert exchange.extra == {"order": {"tasks": [1, 1]}}


async def test_the_first_exchange_happens_to_the_letter(tmp_path: Path) -> None:
    """Its answer, what is told of it on both exchanges, and its line in the journal."""
    replies: asyncio.Queue[ReplyDelivery] = asyncio.Queue()
    heard: asyncio.Queue[Broadcast] = asyncio.Queue()
    log = tmp_path / "log.jsonl"
    async with open_service(options=ServiceOptions(journal=FileJournal(log))) as service:
        serving = asyncio.create_task(service.run())
        address = await service.bus.open_reply_address("you", replies.put_nowait)
        await service.bus.listen("events", ["tasks.created"], heard.put_nowait)
        await service.bus.listen("changes", ["tasks"], heard.put_nowait)
        said = Publication("storage.storage_save", _SAID.encode(), "yours", address.address)
        await service.bus.publish(said)
        async with asyncio.timeout(_PATIENCE):
            reply = await replies.get()
            told = {one.routing_key: one.body.decode() for one in [await heard.get() for _ in "12"]}
        await service.stop()
        await serving
    assert reply.correlation_id == "yours"
    assert _without_moments(reply.body.decode()) == _without_moments(_ANSWERED)
    assert told.keys() == {"tasks.created", "tasks"}
    assert _without_moments(told["tasks.created"], "tasks/1") == _without_moments(_TOLD, "tasks/1")
    assert told["tasks"] == f"[{told['tasks.created']}]"
    line, example = json.loads(log.read_text()), json.loads(_JOURNALED)
    assert _without_moments(json.dumps(line.pop("response"))) == _without_moments(
        json.dumps(example.pop("response"))
    )
    assert _without_moments(json.dumps(line)) == _without_moments(json.dumps(example))


def _without_moments(text: str, id_: str = "<uuid>") -> Any:
    """The fields in their order; only the id and the moments differ from run to run."""
    fields = json.loads(_MOMENT.sub('"<moment>"', text))
    return list((fields | {"id": id_}).items())


# -- tables --------------------------------------------------------------------------------------


def test_every_action_is_described_and_every_described_action_exists() -> None:
    described = [name for cells in rows(section(WIRE, 6)) for name in names(cells[0])]
    assert len(described) == len(set(described))
    assert {name for name in described if _ACTION.fullmatch(f"`{name}`")} == _DESCRIBED.keys()
    named = set(_ACTION.findall(WIRE.read_text()))
    assert named - {"storage_error"} == set(ACTIONS) == _DESCRIBED.keys() | COMMON_ACTIONS.keys()


def test_the_readme_names_every_action_and_no_other() -> None:
    assert set(_ACTION.findall(README.read_text())) == set(ACTIONS)


@pytest.mark.parametrize("action", sorted(_DESCRIBED))
def test_every_payload_field_is_described_and_every_described_field_exists(action: str) -> None:
    (cells,) = [cells for cells in rows(section(WIRE, 6)) if names(cells[0]) == [action]]
    fields = set(_DESCRIBED[action].payload_schema().get("properties", ()))  # type: ignore[arg-type]
    described = {name for name in names(cells[1]) if re.fullmatch("[a-z_]+", name)}
    if action == "storage_save":
        described.discard("id")  # the document's
    elif action == "lock_acquire":
        described.discard("anonymous")
    # Told once for all actions: `collection`, and the second name of a record.
    assert described == fields - {"collection", "record", "record_id"}


@pytest.mark.parametrize(
    ("action", "model"),
    [
        ("lock_acquire", Lock),
        ("agent_dead_letters", DeadLetter),
        ("agent_dead_letters_replay", DeadLettersReplayed),
        ("agent_dead_letters_purge", DeadLettersPurged),
    ],
)
def test_results_are_described_with_their_fields(action: str, model: type[Any]) -> None:
    (cells,) = [cells for cells in rows(section(WIRE, 6)) if names(cells[0]) == [action]]
    shape = "{" + ",".join(f'"{name}"' for name in model.model_fields) + "}"
    assert shape in cells[2]


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
        f"`lease_seconds` a number > 0 and ≤ {checks.MAX_LEASE_SECONDS:,.0f};",
        f"`limit` (1–{outbox.MAX_EVENTS:,}, default 100)",
        f"`HOLDFAST_EVENT_RETENTION_HOURS`, {kept['event_retention_hours'].default:g} by default",
        f"`HOLDFAST_MEMORY_MIB`, {kept['memory_mib'].default:g} by default",
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
