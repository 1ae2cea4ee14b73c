"""Recording what an agent executed, and replaying it on another backend."""

import asyncio
from pathlib import Path

import pytest

from holdfast_agents import embedded
from holdfast_agents.journal import FileJournal
from holdfast_agents.replay import Comparison, Replayer, open_store_target, read_entries
from holdfast_agents.wiring import ServiceOptions
from holdfast_protocol import NotFoundError
from holdfast_protocol.logs import read_log


async def test_what_ran_concurrently_is_replayed_with_the_same_answers(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    options = ServiceOptions(journal=FileJournal(log))
    async with embedded(options=options) as client:
        saves = (client.storage.save({"n": number}) for number in range(300))
        await asyncio.gather(*saves)
        updates = (client.storage.update(1, increment={"n": 1}) for _ in range(50))
        await asyncio.gather(*updates)
        await client.storage.query({"n": {"$gt": 100}}, sort=[("n", "desc")], limit=7)
        with pytest.raises(NotFoundError):
            await client.storage.get(999)
    async with open_store_target(f"sqlite:///{tmp_path / 'again.db'}") as target:
        with log.open("rb") as lines:
            report = await Replayer(target, comparison=Comparison()).run(read_entries(lines))
    assert report.samples == []
    assert report.replayed == 352
    assert report.outcomes == {"success": 351, "not_found": 1}


async def test_expired_records_are_expired_in_the_replay(tmp_path: Path) -> None:
    """The log's clock decides: what was there is there, what had expired has expired."""
    log = tmp_path / "log.jsonl"
    journal = FileJournal(log)
    async with embedded(options=ServiceOptions(journal=journal)) as client:
        await client.storage.save({"id": "brief"}, ttl_seconds=0.05)
        assert (await client.storage.get("brief")).id == "brief"
        while await client.storage.count():  # until it has expired: the store's clock moves
            pass
        with pytest.raises(NotFoundError):
            await client.storage.get("brief")
    recorded = list(read_log(log))
    assert journal.recorded == len(recorded)
    async with open_store_target("memory://") as target:
        with log.open("rb") as lines:
            report = await Replayer(target, comparison=Comparison()).run(read_entries(lines))
    # The log tells moments after the commit: around the very expiry one answer may be another.
    assert report.differing <= 1
    assert report.outcomes["not_found"] == 1
