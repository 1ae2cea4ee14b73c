"""Running the demonstration: a fresh store, the story, its log, and the log's replay."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from holdfast_agents.in_process import embedded
from holdfast_agents.journal import FileJournal
from holdfast_agents.replay import (
    Comparison,
    Replayer,
    Report,
    open_store_target,
    read_entries,
)
from holdfast_agents.wiring import ServiceOptions

from .story import Show, Step, Story

STORE_NAME: Final = "demo.db"
LOG_NAME: Final = "demo.jsonl"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration did, where its log is, and what the replay found."""

    steps: list[Step]
    log: Path
    recorded: int
    report: Report


async def run_demo(
    documents: Sequence[dict[str, JsonValue]], folder: Path, show: Show
) -> DemoResult:
    """Tell the story on a fresh SQLite file, then replay its log on the memory backend.

    Raises:
        DemoError, HoldfastError: an answer is wrong.
        StorageError: the store cannot be opened.
        OSError: the folder cannot be written.
    """
    store, log = _fresh(folder)
    journal = FileJournal(log)
    options = ServiceOptions(journal=journal)
    async with embedded(f"sqlite:///{store}", sender="demo", options=options) as client:
        steps = await Story(client, documents, show).tell()
    report = await _replayed(log, journal.recorded, show)
    return DemoResult(steps, log, journal.recorded, report)


async def _replayed(log: Path, messages: int, show: Show) -> Report:
    show.begin("replay", messages)
    async with open_store_target("memory://") as target:
        replayer = Replayer(target, comparison=Comparison())
        with log.open("rb") as lines:
            report = await replayer.run(read_entries(lines))
    return report


def _fresh(folder: Path) -> tuple[Path, Path]:
    """Where store and log go; what an earlier run left there is removed, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    store, log = folder / STORE_NAME, folder / LOG_NAME
    for path in (log, store, *(store.with_name(store.name + end) for end in ("-wal", "-shm"))):
        path.unlink(missing_ok=True)
    return store, log
