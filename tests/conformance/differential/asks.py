"""What is asked, as plain data: made into an operation for a backend, or put to the model."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from holdfast_backends.filters import parse_filter
from holdfast_backends.operations import (
    Acquire,
    Collections,
    Count,
    Delete,
    Fence,
    Get,
    Identity,
    Index,
    Inspect,
    Operation,
    Release,
    Renew,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.testing.harness import finding
from tests.conformance.differential.model import Model
from tests.conformance.differential.naive import Document, Place
from tests.conformance.differential.words import Answer, FailureError

_OF_LOCKS = ("acquire", "renew", "release", "inspect")
WRITES = ("save", "update", "delete", "acquire", "renew", "release")


@dataclass(frozen=True)
class Ask:
    """One operation. `continues` is the number of the page that this one follows; `deadline`
    (microseconds since 1970) and `cancelled` are those of its message."""

    kind: str
    collection: str = "tasks"
    args: dict[str, Any] = field(default_factory=dict)
    inner: tuple["Ask", ...] = ()
    identity: tuple[str, str] | None = None
    continues: int | None = None
    deadline: int | None = None
    cancelled: bool = False

    @property
    def digest(self) -> bytes:
        """What tells this payload from another one under the same identity."""
        payload = repr((self.kind, self.collection, self.args, self.inner))
        return blake2b(payload.encode(), digest_size=16).digest()

    @property
    def writes(self) -> bool:
        """Whether it may change anything; only then its identity counts."""
        return self.kind in WRITES or any(inner.writes for inner in self.inner)

    @property
    def weight(self) -> int:
        """How many operations it is."""
        return max(1, len(self.inner))


def operation(ask: Ask, cursor: str | None = None) -> Operation:
    """The operation for a backend."""
    identity = None
    if ask.identity:
        identity = Identity(*ask.identity, ask.digest, ask.deadline, ask.cancelled)
    args = ask.args
    fence = Fence(*args["fence"]) if args.get("fence") else None
    match ask.kind:
        case "save":
            document, if_version, ttl = args["document"], args["if_version"], args["ttl"]
            return Save(document, ask.collection, if_version, ttl, identity, fence)
        case "get":
            return Get(args["id"], ask.collection)
        case "update":
            return Update(
                args["id"],
                args["changes"],
                args["increment"],
                args["append"],
                ask.collection,
                args["if_version"],
                identity,
                fence,
            )
        case "delete":
            return Delete(args["id"], ask.collection, args["if_version"], identity, fence)
        case "acquire":
            return Acquire(args["name"], args["owner"], args["seconds"], identity)
        case "renew":
            return Renew(args["name"], args["token"], args["seconds"], identity)
        case "release":
            return Release(args["name"], args["token"], identity)
        case "inspect":
            return Inspect(args["name"])
        case "find":
            sort = [[path, "desc" if descending else "asc"] for path, descending in args["sort"]]
            return finding(
                args["filters"],
                sort=sort,
                fields=args["fields"],
                limit=args["limit"],
                max_bytes=args["max_bytes"],
                cursor=cursor,
                collection=ask.collection,
            )
        case "count":
            return Count(ask.collection, parse_filter(args["filters"]))
        case "collections":
            return Collections()
        case "index":
            return Index(ask.collection, args["paths"])
        case _:
            inner: Any = tuple(operation(part) for part in ask.inner)
            return Transaction(inner, args["atomic"], identity=identity, fence=fence)


def answer(model: Model, ask: Ask, after: Place | None = None) -> Answer:
    """The model's answer: once for each message."""
    identity = ask.identity if ask.writes else None
    known = model.once(identity, ask.digest)
    if known is not None:
        return known
    if identity is not None and ask.cancelled:
        withdrawn = _failed(FailureError("cancelled"))
        model.remember(identity, ask.digest, withdrawn)
        return withdrawn
    if identity is not None and ask.deadline is not None and ask.deadline <= model.now:
        return _failed(FailureError("expired"))
    model.actor = identity
    try:
        given = _performed(model, ask, after)
    except FailureError as failure:
        given = _failed(failure)
    model.remember(identity, ask.digest, given)
    return given


def _failed(failure: FailureError, index: int | None = None) -> Answer:
    return "failed", failure.kind, failure.facts, index


def _performed(model: Model, ask: Ask, after: Place | None = None) -> Answer:
    name, args = ask.collection, ask.args
    if ask.kind in _OF_LOCKS:
        given: Answer = getattr(model.locks, ask.kind)(*args.values(), model.now)
        return given
    model.locks.check(args.get("fence"), model.now)
    match ask.kind:
        case "save":
            return model.save(name, args["document"], args["if_version"], args["ttl"])
        case "get":
            return model.get(name, args["id"])
        case "update":
            return model.update(name, **args_of_update(args))
        case "delete":
            return model.delete(name, args["id"], args["if_version"])
        case "find":
            found = model.find(name, args["filters"], args["sort"], after)
            return "page", tuple(found)
        case "count":
            return model.count(name, args["filters"])
        case "collections":
            return model.counts()
        case "index":
            return "index", args["paths"]
        case _:
            return _transaction(model, ask)


def args_of_update(args: Document) -> dict[str, Any]:
    """The model's names for the parts of an update."""
    return {
        "record_id": args["id"],
        "changes": args["changes"],
        "increments": args["increment"],
        "appends": args["append"],
        "if_version": args["if_version"],
    }


def _transaction(model: Model, ask: Ask) -> Answer:
    before = model.copied()
    answers: list[Answer] = []
    for index, inner in enumerate(ask.inner):
        try:
            answers.append(_performed(model, inner))
        except FailureError as failure:
            if ask.args["atomic"]:
                model.collections = before
                return _failed(failure, index)
            answers.append(_failed(failure))
    return "batch", tuple(answers)
