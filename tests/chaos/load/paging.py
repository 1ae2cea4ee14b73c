"""Lists, queries and counts by chance, and the pages that follow."""

from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any, Final

_KEPT: Final = 20  # cursors that are followed later

_FILTERS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"done": True},
    {"hits": {"$gte": 5}},
    {"weight": {"$in": [1, 2.25]}, "done": False},
    {"owner.points": {"$gt": 0}},
    {"$or": [{"hits": 3}, {"title": {"$prefix": "w1"}}]},
    {"notes": {"$contains": 7}},
)
_SORTS: Final[tuple[list[list[str]], ...]] = (
    [],
    [["hits", "asc"]],
    [["weight", "desc"], ["title", "asc"]],
    [["owner.name", "desc"]],
)


class Pages:
    """Draws the reads of many records of one collection."""

    def __init__(self, collection: str, random: Random) -> None:
        self._collection = collection
        self._random = random
        self._next: deque[tuple[str, dict[str, Any]]] = deque(maxlen=_KEPT)

    def remember(self, action: str, payload: Mapping[str, Any], cursor: str) -> None:
        """Something follows after a page."""
        self._next.append((action, {**payload, "cursor": cursor}))

    def draw(self) -> tuple[str, dict[str, Any]]:
        """An action and its payload."""
        if self._next and self._random.random() < 0.4:
            return self._next.popleft()
        filters = self._random.choice(_FILTERS)
        chance = self._random.random()
        if chance < 0.2:
            return "storage_count", {"collection": self._collection, "filters": filters}
        payload: dict[str, Any] = {"collection": self._collection}
        if self._random.random() < 0.8:
            payload["limit"] = self._random.choice([1, 5, 20])
        if self._random.random() < 0.5:
            payload["with_meta"] = True
        if chance < 0.6:
            return "storage_list", payload
        payload |= {"filters": filters, "sort": self._random.choice(_SORTS)}
        if self._random.random() < 0.3:
            payload["fields"] = ["title", "owner.name"]
        return "storage_query", payload
