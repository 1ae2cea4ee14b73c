"""Comparing answers: what must be equal, what cannot be, and where two differ.

Values are equal when their JSON is, types included: `1` and `1.0` differ, key order does not
matter. What no two runs can have in common is not compared:

- `id` and `timestamp` of the response (wire contract, section 8);
- the moments of records (`created_at`, `updated_at`, `expires_at` in `meta`), of leases and of
  events, and how long to wait: a replay happens at another time;
- the numbers of changes (`meta.sequence`): what expires is removed when somebody gets to it, and
  that is a change too;
- whether a request was cancelled too late (`meta.cancel`);
- what an agent tells of its own process: the time in a ping, counters, its version, the
  reference of a defect, and whether an index is built already.

More is left out by paths such as `result.title` or `meta.records.*.version`.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Final, TypeAlias

from pydantic import JsonValue

from holdfast_protocol.codec import canonical_json
from holdfast_protocol.errors import ValidationError
from holdfast_protocol.messages import AgentResponse

from .told import Told, has_same_result

_Tree: TypeAlias = "dict[str, _Tree]"
"""Paths by their first segment; a path ends in an empty tree."""
_ANY: Final = "*"
_LONGEST_TEXT: Final = 120

_MOMENTS: Final = ("created_at", "updated_at", "expires_at")
_META_PLACES: Final = ("meta", "meta.records.*")
_LEASE: Final = ("result.acquired_at", "result.expires_at", "details.expires_at")
_REPLAYED: Final = "meta.replayed"
IGNORED: Final = (
    "id",
    "timestamp",
    "details.reference",
    "details.retry_after_seconds",
    "meta.sequence",
    "meta.cancel",
    *(f"{place}.{moment}" for place in _META_PLACES for moment in _MOMENTS),
)
"""What is never compared."""
IGNORED_BY_ACTION: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "storage_batch": tuple(
            f"result.*.{path}"
            for path in (
                "meta.sequence",
                "details.retry_after_seconds",
                *(f"{place}.{moment}" for place in _META_PLACES for moment in _MOMENTS),
            )
        ),
        "storage_events": (
            "result.*.id",
            "result.*.sequence",
            "result.*.timestamp",
            "meta.first_sequence",
            "meta.last_sequence",
        ),
        "storage_positions": ("result.*.sequence",),
        **dict.fromkeys(("lock_acquire", "lock_renew", "lock_release", "lock_get"), _LEASE),
        "storage_index": ("result.ready",),
        "agent_ping": ("result.timestamp",),
        "agent_stats": ("result",),
        "agent_describe": ("result.version",),
    }
)
"""What is not compared in the answers to one action."""


class _Missing:
    """Stands where one side has nothing."""


_MISSING: Final = _Missing()
_NOTHING: Final[_Tree] = {}


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two responses differ: the path, and both sides as JSON text."""

    path: str
    expected: str
    got: str


class Comparison:
    """How responses are compared.

    Args:
        ignore: further paths to leave out, dotted from the response's root; `*` is any key or
            index.

    Raises:
        ValueError: a path is empty or has an empty segment.
    """

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        self.ignored: tuple[str, ...] = (*IGNORED, *ignore)
        self._told = _Trees(self.ignored)
        self._first_told = _Trees((*self.ignored, _REPLAYED))

    def differences(
        self,
        action: str,
        expected: AgentResponse,
        got: Told,
        *,
        first_told: bool = False,
    ) -> list[Difference]:
        """Where the answers to a message differ; nothing when they are equal.

        `first_told`: the log does not know whether this was the first answer to it (see
        `ordering.normalised`).
        """
        search = _Search()
        ignored = (self._first_told if first_told else self._told).of(action)
        search.compare_fields(expected, got, ignored)
        return search.found


class _Trees:
    """What is not compared, by action."""

    def __init__(self, ignored: tuple[str, ...]) -> None:
        self._always = _tree(ignored)
        self._by_action = {
            action: _tree((*ignored, *paths)) for action, paths in IGNORED_BY_ACTION.items()
        }

    def of(self, action: str) -> _Tree:
        """The paths that are left out in the answers to an action."""
        return self._by_action.get(action, self._always)


def _tree(paths: Iterable[str]) -> _Tree:
    root: _Tree = {}
    for path in paths:
        parts = path.split(".")
        if not all(parts):
            raise ValueError(f"no path of a response: {path!r}")
        node = root
        for part in parts:
            node = node.setdefault(part, {})
        node.clear()  # whatever is below this is left out with it
    _spread(root)
    return root


def _spread(tree: _Tree) -> None:
    """Let what holds for any key hold for the named ones too."""
    for key, below in tree.items():
        if key != _ANY and below and _ANY in tree:
            _merge(below, tree[_ANY])
        _spread(below)


def _merge(tree: _Tree, other: _Tree) -> None:
    if not other:
        tree.clear()
        return
    for key, below in other.items():
        if key not in tree:
            tree[key] = deepcopy(below)
        elif tree[key]:
            _merge(tree[key], below)


_FIELDS: Final = (
    "status",
    "meta",
    "error",
    "error_type",
    "details",
    "handoff",
    "in_reply_to",
    "correlation_id",
    "sender",
)
"""What is compared beside the result. Absent and null are the same in an envelope."""
_fields: Final = attrgetter(*_FIELDS)


class _Search:
    """Finds the places where two values differ."""

    def __init__(self) -> None:
        self.found: list[Difference] = []

    def compare_fields(self, expected: AgentResponse, got: Told, ignored: _Tree) -> None:
        """Compare two responses."""
        if not has_same_result(expected, got):
            self._below(expected.result, got.result, "result", ignored, ())
        for key, one, other in zip(_FIELDS, _fields(expected), _fields(got), strict=True):
            # What is the same object, or two equal texts, needs no further look.
            if one is not other and not (type(one) is str and type(other) is str and one == other):
                self._below(one, other, key, ignored, ())

    def compare(
        self,
        expected: JsonValue | _Missing,
        got: JsonValue | _Missing,
        ignored: _Tree,
        path: tuple[str, ...],
    ) -> None:
        """Compare what stands at a path, except what is ignored below it."""
        if isinstance(expected, dict) and isinstance(got, dict):
            for key, value in expected.items():
                inner = ignored.get(key)
                if inner is None or inner:  # an empty one: the path ends here, and is left out
                    self._below(value, got.get(key, _MISSING), key, ignored, path)
            for key, value in got.items():
                if key not in expected:
                    self._below(_MISSING, value, key, ignored, path)
        elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
            for index, (one, other) in enumerate(zip(expected, got, strict=True)):
                self._below(one, other, str(index), ignored, path)
        elif not _same(expected, got):
            place = ".".join(path)
            self.found.append(Difference(place, _shown(expected), _shown(got)))

    def _below(
        self,
        expected: JsonValue | _Missing,
        got: JsonValue | _Missing,
        key: str,
        ignored: _Tree,
        path: tuple[str, ...],
    ) -> None:
        inner = ignored.get(key)
        if inner is None:
            inner = ignored.get(_ANY)
        if inner is None:
            if not _same(expected, got):  # as a whole, which is the fast way
                self.compare(expected, got, _NOTHING, (*path, key))
        elif inner:
            self.compare(expected, got, inner, (*path, key))


def _same(expected: JsonValue | _Missing, got: JsonValue | _Missing) -> bool:
    if isinstance(expected, _Missing) or isinstance(got, _Missing):
        return expected is got
    if expected is None or isinstance(expected, (str, bool, int)):
        return type(expected) is type(got) and expected == got
    if isinstance(expected, (dict, list)) and not expected and not got:
        return type(expected) is type(got)
    return _text(expected) == _text(got)


def _text(value: JsonValue) -> str:
    try:
        return canonical_json(value).decode()
    except ValidationError:
        # Beyond 64 bits: no agent of ours answers so, but a log is a file that anyone may edit.
        return repr(value)


def _shown(value: JsonValue | _Missing) -> str:
    if isinstance(value, _Missing):
        return "nothing"
    text = _text(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} chars)"
