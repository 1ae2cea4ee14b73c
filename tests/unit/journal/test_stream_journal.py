"""The journal on a bus: chunks, failures, and an end."""

import asyncio

from holdfast_agents.base.answers import Answer, Result, success
from holdfast_agents.journal import StreamJournal
from holdfast_agents.logs import quiet_logger
from holdfast_protocol import AgentMessage, UnavailableError

_PATIENCE = 10.0


class Shelf:
    """What a journal needs of a bus."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.failures: list[Exception] = []

    async def journal(self, body: bytes) -> None:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.chunks.append(body)


def exchange(name: str, size: int = 10) -> tuple[AgentMessage, Answer]:
    message = AgentMessage(action="storage_get", payload={"task_id": 1}, id=name)
    return message, success(message, "storage", Result({"id": 1, "text": "x" * size}))


def record(
    journal: StreamJournal, *exchanges: tuple[AgentMessage, Answer]
) -> "asyncio.Future[bool]":
    items = [message for message, _answer in exchanges]
    answers = [answer for _message, answer in exchanges]
    return asyncio.ensure_future(journal.record("storage", items, answers))


async def test_what_gathers_while_a_chunk_is_on_its_way_is_the_next_chunk() -> None:
    shelf = Shelf()
    async with StreamJournal(shelf, quiet_logger()) as journal:  # type: ignore[arg-type]
        kept = [record(journal, exchange(f"m{number}")) for number in range(10)]
        async with asyncio.timeout(_PATIENCE):
            assert await asyncio.gather(*kept) == [True] * 10
    assert b"".join(shelf.chunks).count(b"\n") == 10
    assert len(shelf.chunks) <= 2


async def test_the_lines_of_a_large_batch_are_parted() -> None:
    shelf = Shelf()
    large = [exchange(f"m{number}", 700_000) for number in range(20)]
    async with StreamJournal(shelf, quiet_logger()) as journal:  # type: ignore[arg-type]
        async with asyncio.timeout(_PATIENCE):
            assert await record(journal, *large)
    assert max(map(len, shelf.chunks)) < 2_000_000
    assert b"".join(shelf.chunks).count(b"\n") == 20


async def test_what_was_not_kept_is_told_and_the_next_is_kept() -> None:
    shelf = Shelf()
    shelf.failures = [UnavailableError("away"), RuntimeError("a defect")]
    async with StreamJournal(shelf, quiet_logger()) as journal:  # type: ignore[arg-type]
        async with asyncio.timeout(_PATIENCE):
            told = [await record(journal, exchange(f"m{number}")) for number in range(3)]
    assert told == [False, False, True]


async def test_whoever_waits_when_it_is_closed_is_told() -> None:
    shelf = Shelf()
    async with StreamJournal(shelf, quiet_logger()) as journal:  # type: ignore[arg-type]
        kept = record(journal, exchange("m"))
        await asyncio.sleep(0)
    async with asyncio.timeout(_PATIENCE):
        assert await kept in (True, False)
