"""The journal of two real processes, read from its stream by a client that knows only AMQP."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from tests.acceptance.plain_client import PATIENCE, connected
from tests.acceptance.serving import serving
from tests.acceptance.shapes import MOMENT
from tests.acceptance.stores import DURABLE, temporary_store
from tests.services import unique_name

pytestmark = pytest.mark.amqp


async def _lines(url: str, queue: str, count: int) -> list[dict[str, Any]]:
    """The lines of all chunks, once there are so many."""
    lines: list[dict[str, Any]] = []
    enough = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        assert message.body == b"" or message.body.endswith(b"\n")
        lines.extend(json.loads(line) for line in message.body.splitlines())
        await message.ack()
        if len(lines) >= count:
            enough.set()

    async with await aio_pika.connect(url, timeout=PATIENCE) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=10)
        stream = await channel.get_queue(queue, ensure=False)
        await stream.consume(take, arguments={"x-stream-offset": "first"}, timeout=PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await enough.wait()
    return lines


@pytest.mark.parametrize("kind", DURABLE)
async def test_every_exchange_is_a_line_and_order_tells_when_it_happened(
    amqp_url: str, kind: str, tmp_path: Path
) -> None:
    name = unique_name()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(temporary_store(kind, tmp_path))
        for _ in range(2):
            await stack.enter_async_context(serving(amqp_url, store, name, HOLDFAST_JOURNAL="true"))
        client = await stack.enter_async_context(connected(amqp_url, name))
        first = {"action": "storage_save", "id": "first", "payload": {"task": {"id": 1, "n": 0}}}
        answers = {"first": await client.ask(first)}
        more = [
            {
                "action": "storage_update",
                "id": f"m{n}",
                "sender": "me",
                "metadata": {"n": n},
                "payload": {"task_id": 1, "increment": {"n": 1}},
            }
            for n in range(200)
        ]
        told = await asyncio.gather(*(client.ask(message) for message in more))
        answers |= {answer["in_reply_to"]: answer for answer in told}
        wrong = {"action": "storage_get", "id": "wrong", "payload": {}}
        answers["wrong"] = await client.ask(wrong)
        await client.ask(b"{broken")
        lines = await _lines(amqp_url, f"{name}.journal", 202)

    said: dict[str, Any] = {str(message["id"]): message for message in [first, *more, wrong]}
    assert sorted(line["message"]["id"] for line in lines) == sorted(said)
    for line in lines:
        message = line["message"]
        assert (line["v"], line["agent"]) == (1, "storage")
        assert MOMENT.fullmatch(line["at"])
        assert message == said[message["id"]]
        assert _settled(line["response"]) == _settled(answers[message["id"]])
    changes = [line for line in lines if "order" in line]
    assert [line["message"]["id"] for line in lines if "order" not in line] == ["wrong"]
    assert all(line["order"]["tasks"][1] == 1 for line in changes)
    changes.sort(key=lambda line: line["order"]["tasks"][0])
    assert [line["order"]["tasks"][0] for line in changes] == list(range(1, 202))
    assert [line["response"]["result"]["n"] for line in changes] == list(range(201))


def _settled(response: dict[str, Any]) -> dict[str, Any]:
    """Without what the journal has of its own."""
    return {key: value for key, value in response.items() if key not in ("id", "timestamp")}
