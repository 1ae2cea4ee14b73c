"""Histories of a store that keeps every promise, made without any store.

The model of the differential suite executes one message after the other. Around the moment of each
a question and an answer are placed by chance, so that messages overlap.
"""

import pickle
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from random import Random
from typing import Any

from tests.chaos.history import Answer, Exchange, History, Kept, Message
from tests.chaos.load.drawing import Drawer
from tests.conformance.differential.leases import Locks
from tests.conformance.differential.model import Collection, Entry, Model
from tests.conformance.differential.naive import place, project
from tests.conformance.differential.words import FailureError

COLLECTIONS = ("orders", "people")
_READS = ("storage_get", "storage_list", "storage_query", "storage_count")


class HonestStore:
    """Answers messages as the wire contract has it, on the model."""

    def __init__(self) -> None:
        self.model = Model()
        self._makers: dict[tuple[str, int], str] = {}
        self._cursors: dict[str, Any] = {}

    def execute(self, message: Message) -> Answer:
        """The answer to one message."""
        self.model.now += 1_000_000
        try:
            return self._answer(message["id"], message["action"], message["payload"])
        except FailureError as error:
            return _failed(error)

    def kept(self, name: str) -> Kept:
        """A collection as it is."""
        collection = self.model.collection(name)
        records = {record_id: entry.document for record_id, entry in collection.records.items()}
        versions = {record_id: entry.version for record_id, entry in collection.records.items()}
        events = [self._event(name, collection, n) for n in range(1, len(collection.events) + 1)]
        copies = [deepcopy(events) for _copy in range(3)]
        return Kept(deepcopy(records), versions, *copies)

    def _event(self, name: str, collection: Collection, sequence: int) -> dict[str, Any]:
        event = collection.events[sequence - 1]
        return {
            "id": f"{name}/{sequence}",
            "collection": name,
            "kind": event.kind,
            "record_id": event.document["id"],
            "version": event.version,
            "sequence": sequence,
            "message_id": self._makers[name, sequence],
            "sender": "load",
            "timestamp": "2026-11-20T08:00:00.000000Z",
            "document": event.document,
        }

    def _answer(self, maker: str, action: str, payload: dict[str, Any]) -> Answer:
        if action == "storage_batch":
            return self._batch(maker, payload)
        if action.startswith("lock_"):
            return self._lock(action, payload)
        return self._one(maker, action, payload)

    # -- batches and locks ---------------------------------------------------------------------

    def _batch(self, maker: str, payload: dict[str, Any]) -> Answer:
        before = self.model.copied()
        answers: list[Answer] = []
        for index, operation in enumerate(payload["operations"]):
            try:
                answers.append(self._one(maker, operation["action"], operation["payload"]))
            except FailureError as error:
                if payload["atomic"]:
                    self.model.collections = before
                    failed = _failed(error)
                    return {**failed, "details": {**failed["details"], "index": index}}
                answers.append(_failed(error))
        return {"status": "success", "result": answers, "meta": {}}

    def _lock(self, action: str, payload: dict[str, Any]) -> Answer:
        locks, name, now = self.model.locks, payload["name"], self.model.now
        if action == "lock_acquire":
            _leased, lease = locks.acquire(name, "load", payload["lease_seconds"], now)
        elif action == "lock_renew":
            _leased, lease = locks.renew(name, payload["token"], payload["lease_seconds"], now)
        else:
            _leased, lease = locks.release(name, payload["token"], now)
        return {"status": "success", "result": {"name": name, "token": lease.token}, "meta": {}}

    # -- single operations ---------------------------------------------------------------------

    def _one(self, maker: str, action: str, payload: dict[str, Any]) -> Answer:
        name = payload["collection"]
        if "fence" in payload:
            fence = payload["fence"]
            self.model.locks.check((fence["lock"], fence["token"]), self.model.now)
        done = self._done(name, action, payload)
        if action not in _READS:
            self._makers[name, len(self.model.collection(name).events)] = maker
        result, meta = done
        sequence = len(self.model.collection(name).events)
        return {"status": "success", "result": result, "meta": {**meta, "sequence": sequence}}

    def _done(self, name: str, action: str, payload: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        expected = payload.get("if_version")
        match action:
            case "storage_save":
                _saved, entry, created = self.model.save(name, payload["task"], expected, None)
                return entry.document, {"version": entry.version, "created": created}
            case "storage_get":
                return _found(self.model.get(name, payload["task_id"]))
            case "storage_delete":
                return _found(self.model.delete(name, payload["task_id"], expected))
            case "storage_update":
                parts = [payload.get(part) for part in ("changes", "increment", "append")]
                changes, increments, appends = parts
                return _found(
                    self.model.update(
                        name, payload["task_id"], changes, increments, appends, expected
                    )
                )
            case "storage_count":
                return self.model.count(name, payload["filters"])[1], {}
            case _:
                return self._page(name, payload)

    def _page(self, name: str, payload: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        sort = [(path, way == "desc") for path, way in payload.get("sort", [])]
        after = self._cursors.get(payload.get("cursor", ""))
        found: list[Entry] = self.model.find(name, payload.get("filters", {}), sort, after)
        page = found[: payload.get("limit")]
        meta: dict[str, Any] = {"next_cursor": None}
        if len(page) < len(found):
            # A place in the order of a query, so the same whenever that place ends a page.
            last = place(page[-1].document, sort)
            meta["next_cursor"] = repr((name, payload.get("filters"), sort, last))
            self._cursors[meta["next_cursor"]] = last
        if payload.get("with_meta"):
            facts = [{"id": entry.document["id"], "version": entry.version} for entry in page]
            meta["records"] = facts
        fields = payload.get("fields")
        documents = [entry.document for entry in page]
        return [d if fields is None else project(d, fields) for d in documents], meta


def honest_history(seed: int, size: int = 200) -> History:
    """A history that breaks no promise; a new copy each time, to be changed."""
    history: History = pickle.loads(_pickled(seed, size))
    return history


@lru_cache(maxsize=20)
def _pickled(seed: int, size: int) -> bytes:
    return pickle.dumps(_made(seed, size))


def _made(seed: int, size: int) -> History:
    random = Random(seed)
    store = HonestStore()
    drawer = Drawer(seed, "m", COLLECTIONS)
    exchanges: list[Exchange] = []
    for message in _messages(drawer, random, size, store.model.locks):
        moment = float(len(exchanges))
        answer = deepcopy(store.execute(deepcopy(message)))
        asked_at = moment - random.expovariate(0.5)
        exchange = Exchange(deepcopy(message), asked_at, moment + random.expovariate(0.5), answer)
        drawer.learn(exchange)
        exchanges.append(exchange)
    exchanges.sort(key=lambda exchange: exchange.asked_at)
    return History(exchanges, {name: store.kept(name) for name in COLLECTIONS})


def _messages(drawer: Drawer, random: Random, size: int, locks: Locks) -> Iterator[Message]:
    for name in COLLECTIONS:
        for number in range(5):
            task = {"id": f"c{number}", "hits": 0}
            yield drawer.message("storage_save", {"collection": name, "task": task})
    for _number in range(size):
        if random.random() < 0.05:
            yield from _under_lock(drawer, random, locks)
        yield drawer.draw()


def _under_lock(drawer: Drawer, random: Random, locks: Locks) -> Iterator[Message]:
    """As the load does it: the lease may end on the way, and some do not notice."""
    yield drawer.message("lock_acquire", {"name": "lock", "lease_seconds": 3})
    token = locks.token("lock")
    for _number in range(random.randint(1, 4)):
        used = max(1, token - (random.random() < 0.1))
        fence = {"lock": "lock", "token": used}
        yield drawer.message("storage_update", drawer.counting() | {"fence": fence})
    if random.random() < 0.3:
        renewal = {"name": "lock", "token": token, "lease_seconds": random.choice([1, 30])}
        yield drawer.message("lock_renew", renewal)
    if random.random() < 0.3:
        yield drawer.message("lock_acquire", {"name": "lock", "lease_seconds": 3})
    if random.random() < 0.7:
        yield drawer.message("lock_release", {"name": "lock", "token": token})


def _found(answer: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
    entry: Entry = answer[1]
    return entry.document, {"version": entry.version}


def _failed(error: FailureError) -> Answer:
    details = {
        key: value for key, value in error.facts.items() if key not in ("record_id", "collection")
    }
    return {
        "status": "error",
        "error": error.kind,
        "error_type": error.kind,
        "details": details,
        "meta": {},
    }
