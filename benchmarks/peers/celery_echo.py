"""The echo with Celery: a task whose result comes back through the rpc:// result backend.

Quorum queue, persistent messages, confirmed publishes, JSON, acknowledged late (a task that a
dying worker had taken is done again, as with Holdfast); without gossip, mingle and events. The
worker is a process of its own with a pool of four threads: that was the fastest of its pools
(solo, prefork with 2 processes, threads).
"""

from collections import deque
from time import perf_counter
from typing import Any

from celery import Celery

from benchmarks.documents import task

NAME = "bench.celery"
_TASK = "bench.echo"
_TIMEOUT = 10.0  # seconds, for one answer

WORKER_ARGUMENTS = (
    "-m", "celery", "-A", "benchmarks.peers.celery_worker", "worker",
    "--pool", "threads", "--concurrency", "4", "--loglevel", "WARNING",
    "--without-gossip", "--without-mingle", "--without-heartbeat",
)  # fmt: skip


def application(url: str) -> Celery:
    """The Celery application, for worker and client."""
    app = Celery("bench", broker=url, backend="rpc://")
    app.conf.update(
        task_default_queue=NAME,
        task_default_queue_type="quorum",
        task_default_exchange_type="topic",
        worker_detect_quorum_queues=True,
        broker_transport_options={"confirm_publish": True},
        task_acks_late=True,
        worker_prefetch_multiplier=256,
        worker_enable_remote_control=False,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
    )

    @app.task(name=_TASK)  # type: ignore[untyped-decorator]
    def echo(body: dict[str, Any]) -> dict[str, Any]:
        return body

    return app


def rate(app: Celery, *, in_flight: int, seconds: float, warm_seconds: float) -> float:
    """Answers per second; blocks. The oldest of `in_flight` tasks is awaited, then replaced."""
    echo = app.tasks[_TASK]
    completed = 0
    waiting: deque[Any] = deque(echo.delay(task(number)) for number in range(in_flight))
    counting_from = perf_counter() + warm_seconds
    end = counting_from + seconds
    while (now := perf_counter()) < end:
        waiting.popleft().get(timeout=_TIMEOUT)
        waiting.append(echo.delay(task(completed)))
        if now >= counting_from:
            completed += 1
    for result in waiting:
        result.get(timeout=_TIMEOUT)
    return completed / seconds
