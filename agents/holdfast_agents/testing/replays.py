"""`assert_replay`: a message log answers today as it did when it was recorded.

What is heavy is imported when it is called: pytest loads this with its plugins.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from holdfast_agents.base.agent import Agent
    from holdfast_agents.replay import Report

T = TypeVar("T")


def assert_replay(
    log: str | Path,
    *,
    backend: str | None = None,
    agents: "Iterable[Agent[Any]] | None" = None,
    ignore: Iterable[str] = (),
    speed: float | None = None,
) -> "Report":
    """Replay a message log on an empty store and compare every answer with the recorded one.

    For synchronous and asynchronous tests alike: it runs on an event loop of its own, in another
    thread, and returns when it is done.

    Args:
        log: JSON Lines, as `holdfast record` and a `FileJournal` write them.
        backend: the URL of the store; a new in-memory one by default.
        agents: your own agents, beside the storage agent; they may not be bound to a running
            event loop.
        ignore: further paths of an answer that are not compared, such as `meta.version`.
        speed: how many times as fast as it was recorded; as fast as possible by default.

    Raises:
        AssertionError: an answer differs, a line is broken, a message's agent is missing, there
            was no answer, or the log holds no message; the text says where and why.
        LaterVersionError: the log is of a later version.
        OSError: the log cannot be read.
        ValueError: an argument is wrong.
        StorageError: the backend cannot be opened.
    """
    __tracebackhide__ = True
    paths = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    path = Path(log)
    report, text = _on_a_loop_of_its_own(
        _replayed(path, backend or "memory://", tuple(agents or ()), paths, speed)
    )
    if text:
        raise AssertionError(text)
    return report


async def _replayed(
    log: Path, backend: str, agents: "tuple[Agent[Any], ...]", ignore: tuple[str, ...], speed: Any
) -> "tuple[Report, str]":
    """The report, and what is wrong with it; an empty text when nothing is."""
    from holdfast_agents.replay import Comparison, Replayer, ReplayError, read_entries
    from holdfast_agents.replay.targets import open_store_target
    from holdfast_agents.wiring import ServiceOptions

    from .stores import lenient_options, prepared

    comparison = Comparison(ignore)
    if speed is not None and not speed > 0:
        raise ValueError("speed is a number above 0, or None")
    options = ServiceOptions(extra_agents=agents, backend_options=lenient_options())
    with log.open("rb") as lines:
        await prepared(backend)
        async with open_store_target(backend, options) as target:
            replayer = Replayer(target, comparison=comparison, speed=speed)
            try:
                report = await replayer.run(read_entries(lines))
            except ReplayError as error:
                raise AssertionError(f"{log}: {error}") from error
    return report, _faults(report, log)


def _faults(report: "Report", log: Path) -> str:
    from holdfast_agents.replay.explaining import problems, verdict, warnings

    if report.ok and report.replayed:
        return ""
    if report.ok:
        return f"{log} holds no message to replay"
    lines = [f"{log} is not answered as it was recorded"]
    lines += [line.text for line in (*warnings(report), *problems(report), *verdict(report))]
    if report.skipped:
        lines.append("give your own agents to it: assert_replay(…, agents=[…])")
    return "\n".join(lines)


def _on_a_loop_of_its_own(work: Coroutine[Any, Any, T]) -> T:
    """Also where a loop runs already; and none of the caller's is touched."""
    __tracebackhide__ = True
    with ThreadPoolExecutor(1, "assert_replay") as thread:
        return thread.submit(asyncio.run, work).result()
