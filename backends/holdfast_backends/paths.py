"""Dotted paths into documents. They walk through objects only, never into arrays."""

from typing import Final, TypeAlias

from .checks import check_text
from .errors import InvalidValueError, Loc
from .values import MAX_KEY_CHARS, MAX_LEVELS, JsonObject, JsonValue

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
    if text.count(".") >= MAX_LEVELS:
        raise InvalidValueError(f"a path has at most {MAX_LEVELS} segments", loc)
    segments = tuple(text.split("."))
    for segment in segments:
        if not segment:
            raise InvalidValueError("a path has no empty segment", loc)
        if len(segment) > MAX_KEY_CHARS:
            raise InvalidValueError(f"a segment has at most {MAX_KEY_CHARS} characters", loc)
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


class Projection:
    """Keeps the named paths of documents, nested as they were, and always `id`."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._tree = _Tree()
        for path in (("id",), *paths):
            _plant(self._tree, path)

    def of(self, document: JsonObject) -> JsonObject:
        """What is kept of a document, in its own order; a path that is not there leaves no
        trace."""
        return _prune(document, self._tree)


class _Tree(dict[str, "_Tree"]):
    """What is kept below a key; an empty tree keeps everything."""


def _plant(tree: _Tree, path: Path) -> None:
    for depth, segment in enumerate(path):
        if segment in tree and not tree[segment]:
            return
        if depth == len(path) - 1:
            tree[segment] = _Tree()
        else:
            tree = tree.setdefault(segment, _Tree())


def _prune(value: JsonObject, tree: _Tree) -> JsonObject:
    kept: JsonObject = {}
    for key, child in value.items():
        if key not in tree:
            continue
        below = tree[key]
        if not below:
            kept[key] = child
        elif isinstance(child, dict) and (inner := _prune(child, below)):
            kept[key] = inner
    return kept
