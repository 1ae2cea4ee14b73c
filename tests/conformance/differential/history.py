"""Random histories: every kind of operation, duplicates, transactions, and pages that go on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.conformance.differential.asks import Ask
from tests.conformance.differential.leases import Fence
from tests.conformance.differential.material import PATHS, STRING_IDS, Material
from tests.conformance.differential.model import LAST_INTEGER, Entry, Model

FULL = "full"
"""Where the last integer is used, so that no id is left to give out."""
COLLECTIONS = [*["tasks"] * 4, *["users", "a-b_c", "z"] * 2, FULL]
INDEX_PATHS = PATHS
LOCKS = ["a", "b", "'é"]
LEASES = [0.000001, 1, 5, 300, 5_000]
TTLS = [0.5, 1, 5, 60, 3_600]
MANY = 60
"""From so many records on a collection is trimmed: a naive model does not like to sort more."""


class History:
    """A seeded history. It looks into the model only to choose ids and versions that exist."""

    def __init__(self, seed: int, model: Model) -> None:
        self._made = Material(seed)
        self._model = model
        self._sent: list[Ask] = []
        self._pages: list[tuple[int, Ask]] = []
        self._messages = 0
        self._makers: list[tuple[int, Callable[[], Ask]]] = [
            (30, self._save),
            (14, self._get),
            (18, self._update),
            (9, self._delete),
            (5, self._find),
            (2, self._count),
            (1, lambda: Ask("collections")),
            (8, self._transaction),
            (8, self._duplicate),
            (4, self._continuation),
            (5, self._lock),
        ]

    def batch(self) -> list[Ask]:
        """The next operations, to be executed in one call."""
        size = self._made.one_of([1, 3, 20, 100, 300, 300])
        asks = [make() for make in self._made.weighted(self._makers, size)]
        if self._made.chance(0.25):
            asks.append(self._index())
        return [*asks, *self._trims()]

    def seconds(self) -> float:
        """How far the clock moves before the next batch."""
        return self._made.one_of([0, 0, 0.000001, 0.3, 1, 1, 5, 100, 4_000])

    def page_has_more(self, number: int, ask: Ask) -> None:
        """A page that can be continued."""
        self._pages = [*self._pages[-40:], (number, ask)]

    def forget(self) -> None:
        """No message so far is known any more."""
        self._sent = []

    # -- operations ----------------------------------------------------------------------------

    def _save(self) -> Ask:
        collection = self._made.one_of(COLLECTIONS)
        document = self._made.document()
        if_version = None
        if self._made.chance(0.5):
            record_id = self._id(collection) if self._made.chance(0.6) else self._new_id(collection)
            document["id"] = record_id
            if self._made.chance(0.25):
                if_version = self._version(collection, record_id, least=0)
        elif self._made.chance(0.2):
            document["id"] = None
            if_version = self._made.one_of([None, 0])
        ttl = self._made.one_of(TTLS) if self._made.chance(0.1) else None
        args = {"document": document, "if_version": if_version, "ttl": ttl, "fence": self._fence()}
        return self._identified(Ask("save", collection, args))

    def _get(self) -> Ask:
        collection = self._made.one_of(COLLECTIONS)
        return Ask("get", collection, {"id": self._id(collection)})

    def _update(self) -> Ask:
        collection = self._made.one_of(COLLECTIONS)
        record_id = self._id(collection)
        changes = self._made.changes() if self._made.chance(0.6) else None
        if changes is not None and self._made.chance(0.2):
            changes["id"] = record_id
        increment = self._made.increment() if self._made.chance(0.5) else None
        neither = changes is None and increment is None
        append = self._made.append() if neither or self._made.chance(0.3) else None
        args: dict[str, Any] = {"id": record_id, "changes": changes, "increment": increment}
        args["append"] = append
        args["if_version"] = self._some_version(collection, record_id)
        args["fence"] = self._fence()
        return self._identified(Ask("update", collection, args))

    def _delete(self) -> Ask:
        collection = self._made.one_of(COLLECTIONS)
        record_id = self._id(collection)
        if_version = self._some_version(collection, record_id)
        args = {"id": record_id, "if_version": if_version, "fence": self._fence()}
        return self._identified(Ask("delete", collection, args))

    def _find(self) -> Ask:
        args = {
            "filters": self._made.filters() if self._made.chance(0.7) else {},
            "sort": self._made.sort(),
            "fields": self._made.some_of(PATHS, 3) if self._made.chance(0.2) else None,
            "limit": self._made.one_of([None, 1, 2, 3, 5, 10, 50]),
            "max_bytes": self._made.one_of([None, None, None, 300, 2_000]),
        }
        return Ask("find", self._made.one_of(COLLECTIONS), args)

    def _count(self) -> Ask:
        filters = self._made.filters() if self._made.chance(0.7) else {}
        return Ask("count", self._made.one_of(COLLECTIONS), {"filters": filters})

    def _index(self) -> Ask:
        paths = tuple(self._made.some_of(INDEX_PATHS, 3))
        return Ask("index", self._made.one_of(COLLECTIONS), {"paths": paths})

    def _transaction(self) -> Ask:
        makers: list[tuple[int, Callable[[], Ask]]] = [
            (8, self._save),
            (3, self._get),
            (5, self._update),
            (3, self._delete),
            (1, self._find),
            (1, self._count),
        ]
        inner: list[Ask] = []
        for make in self._made.weighted(makers, self._made.between(1, 7)):
            ask = replace(make(), identity=None)
            if ask.kind == "find":
                ask = replace(ask, args={**ask.args, "max_bytes": None})
            inner.append(ask)
        args = {"atomic": self._made.chance(0.6), "fence": self._fence()}
        return self._identified(Ask("transaction", args=args, inner=tuple(inner)))

    def _lock(self) -> Ask:
        # The order of the arguments is that of the model's methods.
        name, seconds = self._made.one_of(LOCKS), self._made.one_of(LEASES)
        token = max(1, self._token(name))
        owner = self._made.one_of(["alice", "bob", "'é"])
        asks = [
            Ask("acquire", args={"name": name, "owner": owner, "seconds": seconds}),
            Ask("renew", args={"name": name, "token": token, "seconds": seconds}),
            Ask("release", args={"name": name, "token": token}),
            Ask("inspect", args={"name": name}),
        ]
        (ask,) = self._made.weighted(list(zip([6, 2, 3, 1], asks, strict=True)), 1)
        return self._identified(ask)

    def _fence(self) -> Fence | None:
        if not self._made.chance(0.06):
            return None
        name = self._made.one_of(LOCKS)
        return name, max(1, self._token(name))

    def _token(self, name: str) -> int:
        return self._model.locks.token(name) + self._made.one_of([0, 0, 0, 0, 1, -1])

    def _duplicate(self) -> Ask:
        if not self._sent:
            return self._save()
        # Mostly of this batch or the last ones, sometimes of long ago.
        reach = self._made.one_of([30, 1_000, len(self._sent)])
        earlier = self._made.one_of(self._sent[-reach:])
        if self._made.chance(0.8):
            return self._withdrawn(replace(earlier, deadline=None, cancelled=False))
        make = self._made.one_of([self._save, self._update, self._transaction])
        return replace(make(), identity=earlier.identity)

    def _continuation(self) -> Ask:
        if not self._pages:
            return self._find()
        number, earlier = self._made.one_of(self._pages)
        args = {**earlier.args, "limit": self._made.one_of([None, 1, 3, 10])}
        return replace(earlier, args=args, continues=number)

    def _trims(self) -> list[Ask]:
        trims: list[Ask] = []
        for name in sorted(set(COLLECTIONS)):
            gone = [*self._live(name)][: -MANY // 2]
            if len(gone) > MANY // 2:
                inner = [Ask("delete", name, {"id": one, "if_version": None}) for one in gone]
                trims.append(Ask("transaction", args={"atomic": False}, inner=tuple(inner)))
        return trims

    # -- identities, ids, versions -------------------------------------------------------------

    def _identified(self, ask: Ask) -> Ask:
        if not self._made.chance(0.4):
            return ask
        self._messages += 1
        sender = self._made.one_of(["alice", "bob", "a'b", "é"])
        identified = self._withdrawn(replace(ask, identity=(sender, f"m{self._messages}")))
        self._sent.append(identified)
        return identified

    def _withdrawn(self, ask: Ask) -> Ask:
        """The same message, sometimes with a deadline, sometimes cancelled."""
        if self._made.chance(0.05):
            ask = replace(ask, deadline=self._model.now + self._made.one_of([-1, 0, 1, 10**12]))
        return replace(ask, cancelled=True) if self._made.chance(0.03) else ask

    def _live(self, collection: str) -> dict[int | str, Entry]:
        return self._model.collection(collection).records

    def _id(self, collection: str) -> int | str:
        live = list(self._live(collection))
        if live and self._made.chance(0.8):
            return self._made.one_of(live)
        if self._made.chance(0.3):
            return self._new_id(collection)
        last = self._model.collection(collection).last_id
        return min(max(1, last + self._made.between(-20, 2)), LAST_INTEGER)

    def _new_id(self, collection: str) -> int | str:
        if collection == FULL and self._made.chance(0.2):
            return LAST_INTEGER
        if self._made.chance(0.7):
            return self._made.one_of(STRING_IDS)
        return self._made.between(1, 60)

    def _some_version(self, collection: str, record_id: int | str) -> int | None:
        return self._version(collection, record_id, least=1) if self._made.chance(0.2) else None

    def _version(self, collection: str, record_id: int | str, *, least: int) -> int:
        entry = self._live(collection).get(record_id)
        current = entry.version if entry else 0
        return max(least, current + self._made.one_of([0, 0, 0, 0, 1, -1]))
