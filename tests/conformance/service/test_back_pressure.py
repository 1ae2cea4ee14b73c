"""Back-pressure: bounds in bytes and in turns, a slow store, and recovery by itself."""

import asyncio
from contextlib import AsyncExitStack

from holdfast_agents.base.runner import Runner, RunnerLimits
from holdfast_agents.storage.agent import StorageAgent
from holdfast_protocol import AgentClient
from tests.conformance.service.scene import Scene, soon, until
from tests.conformance.service.test_cancelling import Hesitant

_MEBI = 1024 * 1024


class SlowService:
    """A storage agent on a store that executes when it is let."""

    def __init__(self, scene: Scene, **limits: int) -> None:
        self._scene = scene
        self._limits = RunnerLimits(**limits)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "SlowService":
        scene = self._scene
        backend = await self._stack.enter_async_context(scene.backend())
        bus = await self._stack.enter_async_context(scene.bus())
        self.store = Hesitant(backend)
        agent = StorageAgent(self.store)  # type: ignore[arg-type]
        self.runner = Runner(agent, bus, limits=self._limits)
        await self.runner.start()
        self._running = asyncio.create_task(self.runner.run())
        self.client = await self._stack.enter_async_context(scene.client(retry=False, max_batch=1))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.store.may_go_on.set()
        await self.runner.stop()
        await soon(self._running)
        await self._stack.aclose()


def saving(client: AgentClient, count: int, size: int) -> "list[asyncio.Task[object]]":
    text = "x" * size
    return [
        asyncio.ensure_future(client.storage.save({"n": n, "text": text})) for n in range(count)
    ]


async def test_a_slow_store_pauses_consuming_and_loses_nothing(scene: Scene) -> None:
    async with SlowService(scene, prefetch=20) as service:
        saves = saving(service.client, 100, 10)

        async def is_held() -> bool:
            return service.runner.unsettled >= 10

        await until(is_held)
        assert service.runner.unsettled <= 20
        service.store.may_go_on.set()
        records = await soon(asyncio.gather(*saves))
        assert len(records) == 100
        assert await service.client.storage.count() == 100


async def test_no_more_bytes_are_taken_than_allowed(scene: Scene) -> None:
    """At most the bound, a body or two, and what the connection's own buffer holds (1 MiB)."""
    bound, size = 4 * _MEBI, _MEBI // 2
    async with SlowService(scene, taken_bytes=bound) as service:
        saves = saving(service.client, 40, size)

        async def is_held() -> bool:
            return service.runner.unsettled >= 7

        await until(is_held)
        await asyncio.sleep(0.1)  # what would come too much has the time to come
        assert service.runner.unsettled <= 12
        service.store.may_go_on.set()
        records = await soon(asyncio.gather(*saves))
        assert len(records) == 40


async def test_too_many_slow_reads_are_refused_while_writes_pass(scene: Scene) -> None:
    async with SlowService(scene, side_batches=1, side_waiting=2) as service:
        counts = [
            asyncio.ensure_future(service.client.request("storage", "storage_count"))
            for _ in range(10)
        ]

        async def some_refused() -> bool:
            return sum(count.done() for count in counts) >= 7

        await until(some_refused)
        refused = [count.result() for count in counts if count.done()]
        service.store.may_go_on.set()
        saved = await soon(service.client.storage.save({"n": 1}))
        answered = [response for response in await soon(asyncio.gather(*counts)) if response.ok]
    assert {response.error_type for response in refused} == {"overloaded"}
    after = [response.details["retry_after_seconds"] for response in refused]
    assert all(isinstance(seconds, float) and seconds > 0 for seconds in after)
    assert len(answered) == 3
    assert saved.id == 1


async def test_large_answers_are_executed_in_parts_and_all_arrive(scene: Scene) -> None:
    async with SlowService(scene, answer_bytes=4 * _MEBI) as service:
        service.store.may_go_on.set()
        saved = await soon(service.client.storage.save({"text": "x" * (_MEBI // 4)}))
        async with scene.client(retry=False) as many:
            gets = [many.storage.get(saved.id) for _ in range(60)]
            records = await soon(asyncio.gather(*gets))
    assert len(records) == 60
    assert all(record.document == saved.document for record in records)
