"""The journal in a file."""

from pathlib import Path

from holdfast_agents.base.answers import Result, success
from holdfast_agents.journal import FileJournal
from holdfast_agents.replay import BadLine, read_entries
from holdfast_protocol import AgentMessage


async def _recorded(file: Path, name: str) -> None:
    message = AgentMessage(action="storage_count", id=name)
    async with FileJournal(file) as journal:
        answer = success(message, "storage", Result(0))
        assert await journal.record("storage", [message], [answer])


async def test_exchanges_are_appended(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    for name in ("m1", "m2"):
        await _recorded(file, name)
    assert file.read_bytes().count(b"\n") == 2


async def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    await _recorded(file, "m1")
    file.write_bytes(file.read_bytes() + b'{"v":1,"at":')
    await _recorded(file, "m2")
    entries = list(read_entries(file.read_bytes().splitlines()))
    assert [isinstance(entry, BadLine) for entry in entries] == [False, True, False]
