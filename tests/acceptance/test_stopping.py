"""SIGTERM under load: what was taken is finished and answered, nothing is lost, exit 0."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.plain_client import PATIENCE, connected, queue_of
from tests.acceptance.serving import serving
from tests.acceptance.stores import DURABLE, temporary_store
from tests.services import unique_name

pytestmark = pytest.mark.amqp

_MESSAGES = 2000
_SHUTDOWN_SECONDS = 15


@pytest.mark.parametrize("kind", DURABLE)
async def test_sigterm_answers_what_was_taken_and_leaves_the_rest_in_the_queue(
    kind: str, amqp_url: str, tmp_path: Path
) -> None:
    name, answers, some = unique_name(), dict[str, Any](), asyncio.Event()
    gone = asyncio.Event()

    def on_body(answer: Any) -> None:
        answers[answer["in_reply_to"]] = answer
        if len(answers) >= 100:
            some.set()
        check()

    def check() -> None:
        if len(answers) + waiting >= _MESSAGES:
            gone.set()

    waiting = 0
    settings = {"HOLDFAST_SHUTDOWN_SECONDS": str(_SHUTDOWN_SECONDS), "HOLDFAST_PREFETCH": "50"}
    async with (
        temporary_store(kind, tmp_path) as store,
        serving(amqp_url, store, name, **settings) as process,
        connected(amqp_url, name) as client,
    ):
        client.listener = on_body

        async def save(number: int) -> None:
            payload = {"task": {"n": number}}
            said = {"action": "storage_save", "id": str(number), "sender": "me"}
            body = json.dumps(said | {"payload": payload}).encode()
            await client.publish(body, reply_to=client.reply_to)

        async with asyncio.timeout(PATIENCE + _SHUTDOWN_SECONDS):
            publishing = asyncio.gather(*(save(number) for number in range(_MESSAGES)))
            await some.wait()
            assert await process.end(signal.SIGTERM) == 0
            await publishing

            async with queue_of(amqp_url, f"{name}.agent.storage") as queue:
                waiting = queue.declaration_result.message_count or 0
                assert waiting, "it was stopped in the middle of load"
                check()
                await gone.wait()
                assert len(answers) + waiting == _MESSAGES
                # What was taken was settled: nothing of the rest was ever delivered.
                first = await queue.get(no_ack=False, timeout=PATIENCE)
                assert first is not None
                assert not first.redelivered

            gone.clear()
            waiting = 0
            await process.start()
            await gone.wait()
            client.listener = None
            stored = await client.ask({"action": "storage_count"})
    assert stored["result"] == _MESSAGES
    assert all(answer["status"] == "success" for answer in answers.values())
    assert {answer["result"]["id"] for answer in answers.values()} == set(range(1, _MESSAGES + 1))
    assert not any("replayed" in answer["meta"] for answer in answers.values())
