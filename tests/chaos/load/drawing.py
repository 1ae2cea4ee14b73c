"""Messages by chance: what they say depends on the seed, and on what was answered before."""

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, TypeAlias

from tests.chaos.checks.steps import Step, steps_of
from tests.chaos.history import Exchange, Message
from tests.chaos.load.paging import Pages

Drawn: TypeAlias = tuple[str, dict[str, Any]]
"""An action and its payload."""

SENDER: Final = "load"
COUNTERS: Final = 5  # records of each collection that many write to at once
_LONGEST_BATCH: Final = 120  # operations
_REMEMBERED: Final = 60  # records that are read, changed and removed; so many live at a time


class Drawer:
    """Draws the messages of one load.

    Ids that were given, and versions that were seen, are remembered for a while: so most of what
    is asked can be done, and some of it cannot.
    """

    def __init__(self, seed: int, token: str, collections: Sequence[str]) -> None:
        self._random = Random(seed)
        self.token = token
        self._numbers = itertools.count(1)
        self._collections = list(collections)
        self._seen: dict[str, dict[int | str, int]] = {name: {} for name in collections}
        self._gone: dict[str, deque[int | str]] = {name: deque(maxlen=20) for name in collections}
        self._pages = {name: Pages(name, self._random) for name in collections}

    def draw(self) -> Message:
        """The next message."""
        chance = self._random.random()
        collection = self._random.choice(self._collections)
        if chance < 0.06:
            return self.message("storage_batch", self._batch(collection))
        if chance < 0.2:
            return self.message("storage_batch", self._long_batch(collection))
        if chance < 0.23:
            return self.message(*self._pages[collection].draw())
        return self.message(*self._one(collection))

    def saving(self, collection: str) -> Message:
        """A save that succeeds, in any collection."""
        return self.message(*self._save(collection))

    def counting(self) -> dict[str, Any]:
        """The payload of an update that succeeds as soon as the counters are there."""
        return self._count_up(self._collections[0])[1]

    def message(self, action: str, payload: dict[str, Any]) -> Message:
        """A message of this load with an id of its own."""
        return {
            "id": f"{self.token}-{next(self._numbers)}",
            "sender": SENDER,
            "recipient": "storage",
            "action": action,
            "payload": payload,
        }

    def learn(self, exchange: Exchange) -> None:
        """What an answer tells of records and pages is used for what comes."""
        for step in steps_of(exchange):
            if step.succeeded and step.collection in self._seen:
                self._learn(step)

    def _learn(self, step: Step) -> None:
        assert step.outcome is not None
        result, meta = step.outcome["result"], step.outcome["meta"]
        seen = self._seen[step.collection]
        if step.action == "storage_delete":
            seen.pop(result["id"], None)
            self._gone[step.collection].append(result["id"])
        elif isinstance(result, dict):
            if not is_counter(result["id"]):
                seen[result["id"]] = meta["version"]
        elif meta.get("next_cursor") is not None:
            self._pages[step.collection].remember(step.action, step.payload, meta["next_cursor"])

    # -- kinds ---------------------------------------------------------------------------------

    def _batch(self, collection: str) -> dict[str, Any]:
        operations = []
        for _place in range(self._random.randint(2, 6)):
            about = collection
            if self._random.random() < 0.2:
                about = self._random.choice(self._collections)
            action, payload = self._one(about)
            operations.append({"action": action, "payload": payload})
        atomic = self._random.random() < 0.6
        return {"collection": collection, "atomic": atomic, "operations": operations}

    def _long_batch(self, collection: str) -> dict[str, Any]:
        """Many operations; where all of them stand or fall together, what mostly succeeds, and at
        times one at the end that does not."""
        atomic = self._random.random() < 0.5
        kinds = (self._save, self._count_up) if atomic else (self._one,)
        drawn = [
            self._random.choice(kinds)(collection)
            for _place in range(self._random.randint(10, _LONGEST_BATCH))
        ]
        if atomic and self._random.random() < 0.2:
            drawn.append(("storage_get", {"collection": collection, "task_id": "nobody"}))
        operations = [{"action": action, "payload": payload} for action, payload in drawn]
        return {"collection": collection, "atomic": atomic, "operations": operations}

    def _one(self, collection: str) -> Drawn:
        seen = self._seen[collection]
        if len(seen) > _REMEMBERED:
            return self._delete(collection)
        kinds: list[Callable[[str], Drawn]] = [
            self._save,
            self._save_own,
            self._get,
            self._update,
            self._count_up,
            self._delete,
        ]
        (kind,) = self._random.choices(kinds, weights=[30, 10, 20, 20, 15, 5])
        return kind(collection)

    def _save(self, collection: str) -> Drawn:
        return "storage_save", {"collection": collection, "task": self._document()}

    def _save_own(self, collection: str) -> Drawn:
        record_id = self._chosen(collection)
        if isinstance(record_id, int) and self._random.random() < 0.1:
            record_id += self._random.randrange(3 * _REMEMBERED)  # at times above all others
        payload: dict[str, Any] = {"task": {"id": record_id, **self._document()}}
        if self._random.random() < 0.3:
            payload["if_version"] = self._random.choice([0, self._version(collection, record_id)])
        return "storage_save", {"collection": collection, **payload}

    def _get(self, collection: str) -> Drawn:
        return "storage_get", {"collection": collection, "task_id": self._chosen(collection)}

    def _update(self, collection: str) -> Drawn:
        record_id = self._chosen(collection)
        payload: dict[str, Any] = {"collection": collection, "task_id": record_id}
        chance = self._random.random()
        if chance < 0.4:
            payload["changes"] = {"title": self._text(), "owner": {"name": self._text()}}
        elif chance < 0.7:
            payload["increment"] = {"hits": 1, "owner.points": 2}
        elif chance < 0.95:
            payload["append"] = {"notes": [self._random.randrange(100)]}
        else:
            payload["increment"] = {"title": 1}  # a text, where there is one
        if self._random.random() < 0.3:
            payload["if_version"] = max(1, self._version(collection, record_id))
        return "storage_update", payload

    def _count_up(self, collection: str) -> Drawn:
        counter = f"c{self._random.randrange(COUNTERS)}"
        payload = {"collection": collection, "task_id": counter, "increment": {"hits": 1}}
        return "storage_update", payload

    def _delete(self, collection: str) -> Drawn:
        record_id = self._chosen(collection)
        numbers = [known for known in self._seen[collection] if isinstance(known, int)]
        if numbers and self._random.random() < 0.3:
            record_id = max(numbers)  # an id that is free again would be given to the next
        payload: dict[str, Any] = {"collection": collection, "task_id": record_id}
        if self._random.random() < 0.2:
            payload["if_version"] = max(1, self._version(collection, record_id))
        return "storage_delete", payload

    # -- parts ---------------------------------------------------------------------------------

    def _document(self) -> dict[str, Any]:
        return {
            "title": self._text(),
            "hits": self._random.randrange(10),
            "done": self._random.random() < 0.5,
            "weight": self._random.choice([0.5, 1.0, 2.25]),
            "owner": {"name": self._text(), "points": 0},
            "notes": [],
        }

    def _text(self) -> str:
        return f"w{self._random.randrange(1_000)}"

    def _chosen(self, collection: str) -> int | str:
        """Mostly a record that was there a moment ago; sometimes one that was, or a few names."""
        seen, gone = self._seen[collection], self._gone[collection]
        if gone and self._random.random() < 0.08:
            return self._random.choice(gone)
        if seen and self._random.random() < 0.9:
            return self._random.choice(list(seen))
        return f"own-{self._random.randrange(20)}"

    def _version(self, collection: str, record_id: int | str) -> int:
        return self._seen[collection].get(record_id, 1)


def is_counter(record_id: int | str) -> bool:
    """Whether a record is one of those that all count up; they stay."""
    return isinstance(record_id, str) and record_id[:1] == "c"
