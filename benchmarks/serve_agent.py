"""Runs the storage agent until SIGTERM: `python -m benchmarks.serve_agent`."""

import asyncio
import os
import signal

import uvloop

from benchmarks.addresses import amqp_url
from holdfast_agents.wiring import ServiceOptions, open_service
from holdfast_backends.opening import BackendOptions


async def serve() -> None:
    namespace = os.environ["HOLDFAST_BENCH_NAMESPACE"]
    options = ServiceOptions(
        namespace=namespace, backend_options=BackendOptions(namespace=namespace, allow_unsafe=True)
    )
    backend = os.environ["HOLDFAST_BENCH_BACKEND"]
    async with open_service(bus=amqp_url(), backend=backend, options=options) as service:
        stopping: list[asyncio.Task[None]] = []
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, lambda: stopping.append(asyncio.create_task(service.stop()))
        )
        await service.run()


if __name__ == "__main__":
    uvloop.run(serve())
