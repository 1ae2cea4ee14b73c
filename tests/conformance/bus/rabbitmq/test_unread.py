"""Publishing to a broker that does not read: what nobody waits for any more takes memory too."""

import asyncio
import gc
import tracemalloc

import pytest

from holdfast_protocol.bus.contract import Publication
from holdfast_protocol.bus.rabbitmq import publisher
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from tests.conformance.bus.harness import RabbitHarness, soon
from tests.conformance.bus.rabbitmq.tools import proxy_to, until

pytestmark = pytest.mark.amqp

MIB = 1024 * 1024


@pytest.mark.parametrize("how", ["given up in time", "cancelled"])
async def test_publishes_that_were_given_up_stay_within_the_bound_until_they_are_read(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(publisher, "_MAX_BYTES", 8 * MIB)
    namespace = RabbitHarness(amqp_url).namespace
    timeout = 0.3 if how == "given up in time" else 5.0
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace, operation_timeout=timeout) as bus,
    ):
        await (await bus.consume("storage")).cancel()
        under_way = bus._publisher._under_way
        proxy.freeze()
        tracemalloc.start()
        try:
            for _ in range(10):
                tasks = [
                    asyncio.create_task(bus.publish(Publication("storage.x", bytes(MIB))))
                    for _ in range(8)
                ]
                if how == "cancelled":
                    await asyncio.wait(tasks, timeout=0.1)
                    for task in tasks:
                        task.cancel()
                await soon(asyncio.wait(tasks))
                assert all(
                    task.cancelled() or isinstance(task.exception(), UnavailableError)
                    for task in tasks
                )
            gc.collect()  # tracebacks of the failures hold bodies
            # Of the 80 MiB: the bound, the writer's copy of it, and the last ones published.
            assert tracemalloc.get_traced_memory()[0] < 40 * MIB
        finally:
            tracemalloc.stop()
            proxy.thaw()

        async def all_have_left() -> bool:
            return under_way._bytes == 0

        await until(all_have_left)
        await soon(bus.publish(Publication("storage.x", b"after")))
        assert not under_way._leaving
