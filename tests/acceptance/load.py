"""Load by many plain senders who insist: what is not answered is sent again under its id."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from tests.acceptance.plain_client import PATIENCE, PlainClient

Message: TypeAlias = dict[str, Any]

COUNTERS = 5
_LONGEST_ARRAY = 20
_AHEAD = 1_000  # messages that are sent beyond what is waited for
_ANSWERED_WITHIN = 1.5  # seconds, before a sender asks again


@dataclass
class Load:
    """Messages that create records and count, their answers, and what must be true of them.

    The senders go on until `enough` is called, but never far beyond what a test waits for:
    a machine that starts processes slowly has no more to do than another.
    """

    seed: int
    answers: dict[str, Any] = field(default_factory=dict)
    sent: dict[str, Message] = field(default_factory=dict)
    contradictions: list[tuple[Any, Any]] = field(default_factory=list)
    duplicates: int = 0
    _milestones: list[tuple[int, asyncio.Event]] = field(default_factory=list)
    _allowed: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _enough: bool = False

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._bodies = self._drawn()

    @property
    def unanswered(self) -> int:
        """How many messages were sent and not answered yet."""
        return len(self.sent) - len(self.answers)

    async def answered(self, more: int) -> None:
        """Until so many more messages are answered."""
        reached = asyncio.Event()
        self._milestones.append((len(self.answers) + more, reached))
        self._allowed = len(self.sent) + more + _AHEAD
        self._more.set()
        async with asyncio.timeout(PATIENCE):
            await reached.wait()

    async def prepare(self, client: PlainClient) -> None:
        """The records that count."""
        task = {"hits": 0}
        saves = [
            self._message("storage_save", f"counter-{n}", "counters", task=task | {"id": f"c{n}"})
            for n in range(COUNTERS)
        ]
        await client.ask_all(saves)

    def enough(self) -> None:
        """Begin nothing new."""
        self._enough = True
        self._more.set()

    async def run(self, clients: Sequence[PlainClient], senders: int = 32) -> None:
        """Send until it is enough, and everything is answered."""
        for client in clients:
            client.listener = self._on_body
        async with asyncio.TaskGroup() as group:
            for number in range(senders):
                group.create_task(self._send_all(clients[number % len(clients)]))

    # -- sending -------------------------------------------------------------------------------

    async def _send_all(self, client: PlainClient) -> None:
        for body in self._bodies:
            for message in body:
                self.sent[message["id"]] = message
            first = True
            while remaining := [m for m in body if first or m["id"] not in self.answers]:
                await self._send(client, remaining)
                first = False
            if self._random.random() < 0.1:
                self.duplicates += len(body)
                await self._send(client, body)
            while len(self.sent) >= self._allowed and not self._enough:
                self._more.clear()
                await self._more.wait()
            if self._enough:
                return

    async def _send(self, client: PlainClient, body: list[Message]) -> None:
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                if len(body) == 1:
                    await client.ask(body[0])
                else:
                    await client.ask_all(body)
        except TimeoutError:
            pass  # whoever has no answer sends again

    def _drawn(self) -> Iterator[list[Message]]:
        """Single messages and arrays of them, without end."""
        for number in itertools.count():
            is_array = self._random.random() < 0.3
            size = self._random.randint(2, _LONGEST_ARRAY) if is_array else 1
            yield [self._draw(f"{number}.{place}") for place in range(size)]

    def _draw(self, name: str) -> Message:
        if self._random.random() < 0.5:
            task = {"marker": name, "owner": {"name": f"Ada {name}"}}
            return self._message("storage_save", name, "made", task=task)
        chosen = f"c{self._random.randrange(COUNTERS)}"
        count = {"hits": 1}
        return self._message("storage_update", name, "counters", task_id=chosen, increment=count)

    def _message(self, action: str, name: str, collection: str, **payload: Any) -> Message:
        said = {"action": action, "id": name, "sender": "load"}
        return said | {"payload": {"collection": collection, **payload}}

    # -- answers -------------------------------------------------------------------------------

    def _on_body(self, body: Any) -> None:
        for answer in body if isinstance(body, list) else [body]:
            name = answer["in_reply_to"]
            if name not in self.sent:
                continue
            first = self.answers.setdefault(name, answer)
            if _told(first) != _told(answer):
                self.contradictions.append((first, answer))
        self._tell()

    def _tell(self) -> None:
        for count, reached in self._milestones:
            if len(self.answers) >= count:
                reached.set()

    # -- what must be true ---------------------------------------------------------------------

    async def check(self, client: PlainClient) -> None:
        """Every acknowledged write is there, once; nothing else is; duplicates were replayed."""
        assert self.unanswered == 0
        assert {answer["status"] for answer in self.answers.values()} == {"success"}
        assert self.contradictions == []

        made = {d["id"]: d async for d in _documents(client, "made")}
        saves = self._sent_with("storage_save")
        assert {name: self.answers[name]["result"] for name in saves} == {
            document["marker"]: document for document in made.values()
        }
        assert sorted(made) == list(range(1, len(saves) + 1)), "ids are without a gap"

        counted = {d["id"]: d["hits"] async for d in _documents(client, "counters")}
        updates = self._sent_with("storage_update")
        for counter in counted:
            mine = [n for n, m in updates.items() if m["payload"]["task_id"] == counter]
            assert counted[counter] == len(mine), f"{counter} counts each message once"
            seen = sorted(self.answers[name]["result"]["hits"] for name in mine)
            assert seen == list(range(1, len(mine) + 1)), "each answer tells its own count"

        again = await client.ask_all(list(self.sent.values())[:1000])
        for name, answer in again.items():
            assert answer["meta"]["replayed"] is True
            assert _told(answer) == _told(self.answers[name])

    def _sent_with(self, action: str) -> dict[str, Message]:
        return {name: m for name, m in self.sent.items() if m["action"] == action}


async def _documents(client: PlainClient, collection: str) -> AsyncIterator[Any]:
    cursor = None
    while True:
        payload = {"collection": collection, "limit": 1000, "cursor": cursor}
        page = await client.ask({"action": "storage_list", "payload": payload})
        for document in page["result"]:
            yield document
        cursor = page["meta"]["next_cursor"]
        if cursor is None:
            return


def _told(answer: Any) -> Any:
    """What a duplicate's answer has to repeat."""
    meta = {key: value for key, value in answer["meta"].items() if key != "replayed"}
    return (answer["status"], answer.get("result"), meta)
