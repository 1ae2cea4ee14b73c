"""What several processes did over RabbitMQ and PostgreSQL, recorded and done again elsewhere."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from holdfast_protocol import AgentClient
from tests.acceptance.serving import run_holdfast, serving
from tests.acceptance.stores import temporary_store
from tests.services import unique_name

pytestmark = [pytest.mark.amqp, pytest.mark.postgres, pytest.mark.redis]

_CLIENTS = 3
_EACH = 400
_AT_ONCE = 8


class Worker:
    """One client that does a bit of everything, on records that the others work on too."""

    def __init__(self, client: AgentClient, random: Random) -> None:
        self._client = client
        self._random = random
        self.asked = 0

    async def run(self, count: int) -> None:
        points = (self._save, self._save, self._update, self._delete, self._read)
        others = (self._batch, self._query, self._wrong, self._again, self._lock, self._collections)
        for _ in range(count):
            await self._random.choice((*points, *others))()

    async def _ask(self, action: str, payload: dict[str, Any], **options: Any) -> Any:
        self.asked += 1
        response = await self._client.request("storage", action, payload, **options)
        return response.result if response.ok else None

    def _id(self) -> int | str:
        number = self._random.randrange(1, 17)
        return number if number < 15 else "ab"[number - 15]

    def _collection(self) -> str:
        return self._random.choice(["tasks", "notes"])

    def _task(self) -> dict[str, Any]:
        return {"n": self._random.randrange(5), "owner": {"name": self._random.choice("xyz")}}

    async def _save(self) -> None:
        task = self._task()
        if self._random.random() < 0.5:
            task["id"] = self._id()
        await self._ask("storage_save", {"task": task, "collection": self._collection()})

    async def _update(self) -> None:
        payload: dict[str, Any] = {"task_id": self._id(), "increment": {"n": 1}}
        if self._random.random() < 0.3:
            payload["if_version"] = self._random.randrange(1, 5)
        await self._ask("storage_update", payload)

    async def _delete(self) -> None:
        await self._ask("storage_delete", {"task_id": self._id()})

    async def _read(self) -> None:
        await self._ask("storage_get", {"task_id": self._id(), "collection": self._collection()})

    async def _query(self) -> None:
        filters = {"n": {"$gte": self._random.randrange(5)}}
        action = self._random.choice(["storage_query", "storage_count"])
        await self._ask(action, {"filters": filters, "collection": self._collection()})

    async def _batch(self) -> None:
        operations = [
            {"action": "storage_save", "payload": {"task": self._task()}},
            {"action": "storage_get", "payload": {"task_id": self._id(), "collection": "notes"}},
            {"action": "storage_update", "payload": {"task_id": self._id(), "increment": {"n": 1}}},
        ]
        atomic = self._random.random() < 0.5
        await self._ask("storage_batch", {"operations": operations, "atomic": atomic})

    async def _wrong(self) -> None:
        await self._ask("storage_save", {"task": {"$n": 1}})

    async def _again(self) -> None:
        """The same message twice: answered once more with what it was answered first."""
        task, name = self._task(), str(uuid.UUID(int=self._random.getrandbits(128)))
        for _ in range(2):
            await self._ask("storage_save", {"task": task}, message_id=name)

    async def _lock(self) -> None:
        name = f"lock-{self._random.randrange(3)}"
        lock = await self._ask("lock_acquire", {"name": name, "lease_seconds": 600})
        if lock is None:
            return
        fence = {"lock": name, "token": lock["token"]}
        await self._ask("storage_save", {"task": self._task(), "fence": fence})
        await self._ask("lock_release", {"name": name, "token": lock["token"]})
        await self._ask("storage_save", {"task": self._task(), "fence": fence})

    async def _collections(self) -> None:
        await self._ask("storage_collections", {})


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty store of another kind."""
    async with temporary_store(request.param, tmp_path) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recorded(amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a run of two processes and three clients."""
    folder, name = tmp_path_factory.mktemp("recorded"), unique_name()
    log, asked = folder / "run.jsonl", 0
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        store = await enter(temporary_store("postgres", folder))
        for _ in range(2):
            await enter(serving(amqp_url, store, name, HOLDFAST_JOURNAL="true"))
        workers = []
        for number in range(_CLIENTS):
            client = await enter(
                AgentClient(amqp_url, sender=f"worker-{number}", namespace=name, max_batch=4)
            )
            workers += [Worker(client, Random(10 * number + n)) for n in range(_AT_ONCE)]
        await asyncio.gather(*(worker.run(_EACH // _AT_ONCE) for worker in workers))
        asked = sum(worker.asked for worker in workers)
        # Kept before it is acked: whatever was answered may still be on its way there.
        async with asyncio.timeout(30):
            while len(_lines(log)) < asked:
                log.unlink(missing_ok=True)
                target = ("--bus", amqp_url, "--namespace", name)
                await run_holdfast("record", "--out", str(log), *target)
    return log


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


async def test_both_processes_and_every_outcome_are_recorded(recorded: Path) -> None:
    lines = _lines(recorded)
    assert {line["message"]["sender"] for line in lines} == {"worker-0", "worker-1", "worker-2"}
    told = {line["response"].get("error_type", "success") for line in lines}
    assert {"success", "not_found", "conflict", "validation_error"} <= told
    assert any(line["response"].get("meta", {}).get("replayed") for line in lines)


async def test_it_is_done_again_elsewhere_without_a_difference(
    recorded: Path, elsewhere: str
) -> None:
    backend = () if elsewhere == "memory://" else ("--backend", elsewhere)
    told = await run_holdfast("replay", str(recorded), "--compare", "--json", *backend)
    report = json.loads(told)
    assert (report["differing"], report["compared"]) == (0, len(_lines(recorded)))
