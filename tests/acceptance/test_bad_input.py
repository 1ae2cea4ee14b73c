"""Bad input over the wire: a typed error that names the place, nothing changed, the next served."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio

from holdfast_agents.wiring import open_service
from holdfast_protocol.bus.contract import Publication, ReplyDelivery
from holdfast_protocol.bus.memory import MemoryBus
from tests.acceptance.hostile import BIG, HOSTILE, Hostile
from tests.acceptance.hostile_leases import HOSTILE_LEASES
from tests.acceptance.insides import leaks
from tests.acceptance.stores import ALL, temporary_store

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PATIENCE = 15.0  # seconds: a bound for what must happen, never a pause


@dataclass
class Wire:
    """A service on an in-process bus, and bytes to and from it."""

    bus: MemoryBus
    secrets: list[str]
    address: str = ""
    replies: asyncio.Queue[ReplyDelivery] = field(default_factory=asyncio.Queue)

    async def open(self) -> None:
        reply_address = await self.bus.open_reply_address("plain", self.replies.put_nowait)
        self.address = reply_address.address

    async def ask(self, body: bytes) -> Any:
        """The answer, which tells nothing of the inside."""
        await self.bus.publish(Publication("storage.any", body, "c", self.address))
        async with asyncio.timeout(_PATIENCE):
            reply = await self.replies.get()
        assert reply.correlation_id == "c"
        assert leaks(reply.body.decode(), self.secrets) == []
        return json.loads(reply.body)

    async def do(self, action: str, **payload: Any) -> Any:
        """The answer to a message that is in order."""
        answer = await self.ask(json.dumps({"action": action, "payload": payload}).encode())
        assert answer["status"] == "success", answer
        return answer

    async def content(self) -> Any:
        """All that the store holds."""
        collections = (await self.do("storage_collections"))["result"]
        pages = [
            await self.do("storage_list", collection=entry["collection"], with_meta=True)
            for entry in collections
        ]
        return collections, [(page["result"], page["meta"]) for page in pages]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ALL)
async def wire(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Wire]:
    """A service over a store with a few records."""
    kind: str = request.param
    async with AsyncExitStack() as stack:
        store = temporary_store(kind, tmp_path_factory.mktemp(kind))
        url = await stack.enter_async_context(store)
        name = f"memory://{uuid4()}"
        service = await stack.enter_async_context(open_service(bus=name, backend=url))
        serving = asyncio.create_task(service.run())
        bus = await stack.enter_async_context(MemoryBus(name.removeprefix("memory://")))
        parts = urlsplit(url)
        secrets = [part for part in (parts.password, parts.path) if part and len(part) > 3]
        wire = Wire(bus, secrets)
        await wire.open()
        first = {"text": "t", "n": 1, "full": BIG, "huge": 1.7e308, "list": [1], "none": None}
        await wire.do("storage_save", task=first)
        await wire.do("storage_save", task={"id": "a"}, collection="others")
        yield wire
        await service.stop()
        await serving


@pytest.mark.parametrize("hostile", [*HOSTILE, *HOSTILE_LEASES], ids=lambda hostile: hostile.name)
async def test_bad_input_is_a_typed_error_that_names_the_place_and_changes_nothing(
    wire: Wire, hostile: Hostile
) -> None:
    before = await wire.content()
    answer = await wire.ask(hostile.body)
    assert answer["status"] == "error"
    assert answer["error_type"] == hostile.error_type, answer
    assert answer["error"]
    if hostile.loc is not None and hostile.error_type == "validation_error":
        place = tuple(answer["details"]["errors"][0]["loc"])
        assert place[: len(hostile.loc)] == hostile.loc, answer
    assert await wire.content() == before
    assert (await wire.do("agent_ping"))["result"]["agent"] == "storage"


async def test_a_cursor_of_another_query_or_an_altered_one_is_refused(wire: Wire) -> None:
    await wire.do("storage_save", task={"id": 1}, collection="paged")
    await wire.do("storage_save", task={"id": 2}, collection="paged")
    page = await wire.do("storage_list", collection="paged", limit=1)
    cursor = page["meta"]["next_cursor"]
    altered = ("B" if cursor[5] == "A" else "A").join((cursor[:5], cursor[6:]))
    uses: list[tuple[str, dict[str, Any]]] = [
        ("storage_list", {"collection": "paged", "cursor": altered}),
        ("storage_list", {"collection": "paged", "cursor": cursor[:-1]}),
        ("storage_list", {"collection": "others", "cursor": cursor}),
        ("storage_query", {"collection": "paged", "cursor": cursor}),
        ("storage_query", {"collection": "paged", "cursor": cursor, "filters": {"a": 1}}),
    ]
    for action, payload in uses:
        answer = await wire.ask(json.dumps({"action": action, "payload": payload}).encode())
        assert answer["error_type"] == "validation_error", answer
        assert answer["details"]["errors"][0]["loc"] == ["cursor"]
    rest = await wire.do("storage_list", collection="paged", cursor=cursor)
    assert rest["result"] == [{"id": 2}]


async def test_bad_input_that_nobody_waits_for_is_a_dead_letter_with_its_reason(
    wire: Wire,
) -> None:
    before, buried = await wire.content(), len(wire.bus.broker.dead_letters)
    hostile = [one for one in HOSTILE if one.error_type == "validation_error"][:40]
    for one in hostile:
        await wire.bus.publish(Publication("storage.any", one.body))
    await wire.bus.publish(
        Publication("storage.any", b'{"action":"agent_ping"}', "c", "holdfast.agent.storage")
    )
    assert await wire.content() == before
    letters = list(wire.bus.broker.dead_letters)[buried:]
    reasons = [letter.headers["x-holdfast-reason"] for letter in letters]
    assert reasons.count("forbidden_reply_to") == 1
    bodies = [letter.body for letter in letters]
    assert all(one.body in bodies for one in hostile if one.loc is not None)
    for letter in letters:
        assert leaks(letter.headers["x-holdfast-error"], wire.secrets) == []
