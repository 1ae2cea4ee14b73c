"""What an update does to a document: merge patch, then increments, then appends.

Source: RFC 7396 and the wire contract, section 10. What a change meets in the document decides
whether it is possible, so a refusal here is an outcome, not a refusal of the message.
"""

import math

from .errors import InvalidValueError, Loc
from .paths import Path, parse_path
from .values import MAX_INTEGER, MIN_INTEGER, JsonObject, JsonValue, is_number


def merge_patch(target: JsonValue, patch: JsonObject) -> JsonObject:
    """RFC 7396 for a patch that is an object. Neither argument is changed or shared."""
    merged: JsonObject = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge_patch(merged.get(key), value)
        else:
            merged[key] = value
    return merged


def updated(
    document: JsonObject,
    changes: JsonObject | None,
    increment: dict[str, int | float] | None,
    append: dict[str, list[JsonValue]] | None,
) -> JsonObject:
    """The document after an update; the given one is left alone at the top level only.

    Raises:
        InvalidValueError: a path leads through what is no object, a value is of another type
            than the change needs, or a sum leaves its range.
    """
    result = merge_patch(document, changes or {})
    for text, amount in (increment or {}).items():
        loc = ("increment", text)
        parent, last = _parent(result, parse_path(text, loc), loc)
        parent[last] = _sum(parent.get(last, 0), amount, loc)
    for text, values in (append or {}).items():
        loc = ("append", text)
        parent, last = _parent(result, parse_path(text, loc), loc)
        present = parent.get(last, [])
        if not isinstance(present, list):
            raise InvalidValueError("append needs an array there", loc)
        parent[last] = [*present, *values]
    return result


def _parent(document: JsonObject, path: Path, loc: Loc) -> tuple[JsonObject, str]:
    """The object that holds the path's last segment, made where it is missing."""
    node = document
    for segment in path[:-1]:
        child = node.setdefault(segment, {})
        if not isinstance(child, dict):
            raise InvalidValueError("the path leads through a value that is no object", loc)
        node = child
    return node, path[-1]


def _sum(present: JsonValue, amount: int | float, loc: Loc) -> int | float:
    if not is_number(present):
        raise InvalidValueError("an increment needs a number there", loc)
    total = present + amount
    if isinstance(total, int):
        if not MIN_INTEGER <= total <= MAX_INTEGER:
            raise InvalidValueError("the sum does not fit into 64 bits", loc)
    elif not math.isfinite(total):
        raise InvalidValueError("the sum is beyond the range of a double", loc)
    return total
