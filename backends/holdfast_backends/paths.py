"""Dotted paths into documents. They walk through objects only, never into arrays."""

from typing import Final, TypeAlias

from .checks import check_text
from .errors import InvalidValueError, Loc
from .values import JsonObject, JsonValue

Path: TypeAlias = tuple[str, ...]


class Missing:
    """The type of what is not there, so that a null stays a value."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def parse_path(text: object, loc: Loc = ()) -> Path:
    """The segments of `owner.name`.

    Raises:
        InvalidValueError: no string, an empty segment, or one that begins with `$`.
    """
    if not isinstance(text, str):
        raise InvalidValueError("a path is a string", loc)
    check_text(text, loc)
    segments = tuple(text.split("."))
    for segment in segments:
        if not segment:
            raise InvalidValueError("a path has no empty segment", loc)
        if segment[0] == "$":
            raise InvalidValueError("a path's segment must not begin with '$'", loc)
    return segments


def lookup(document: JsonObject, path: Path) -> JsonValue | Missing:
    """The value at a path, or MISSING."""
    value: JsonValue = document
    for segment in path:
        if not isinstance(value, dict) or segment not in value:
            return MISSING
        value = value[segment]
    return value


def project(document: JsonObject, paths: tuple[Path, ...]) -> JsonObject:
    """The named paths, nested as they were, and always `id`, in the document's own order."""
    tree: dict[str, JsonObject] = {}
    for path in (("id",), *paths):
        _plant(tree, path)
    return _prune(document, tree)


def _plant(tree: dict[str, JsonObject], path: Path) -> None:
    """Add a path to the tree of what is kept; an empty branch keeps all that is below it."""
    node: dict[str, JsonObject] = tree
    for depth, segment in enumerate(path):
        if segment in node and not node[segment]:
            return
        if depth == len(path) - 1:
            node[segment] = {}
        else:
            node = node.setdefault(segment, {})  # type: ignore[assignment]


def _prune(value: JsonObject, tree: dict[str, JsonObject]) -> JsonObject:
    kept: JsonObject = {}
    for key, child in value.items():
        if key not in tree:
            continue
        below: dict[str, JsonObject] = tree[key]  # type: ignore[assignment]
        if not below:
            kept[key] = child
        elif isinstance(child, dict):
            inner = _prune(child, below)
            if inner:
                kept[key] = inner
    return kept
