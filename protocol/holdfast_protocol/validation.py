"""What was wrong with an envelope or payload, in words of ours.

Nothing of the input's values, and no text of the validation library, reaches a response.
Source: the wire contract, sections 3 and 4.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

import pydantic
from pydantic import JsonValue
from pydantic_core import ErrorDetails

from .errors import HoldfastError, TooLargeError, ValidationError
from .fields import NULL_BRANCH, VALUE_BRANCH

Value = TypeVar("Value")

MAX_ERRORS: Final = 20
# More fields than any envelope or payload has, with room for 20 unknown ones.
MANY_FIELDS: Final = 64
_MAX_PLACE: Final = 200
_MAX_NAME: Final = 256
_BRANCHES: Final = frozenset({NULL_BRANCH, VALUE_BRANCH})

# Types whose sentence is ours already (fields.py, actions/).
_OURS: Final = frozenset({"explained", "placed", "too_large"})
_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "unexpected_keyword_argument": "is not a known field",
    "string_type": "must be a string",
    "string_unicode": "must be a string without lone surrogates",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be an array",
    "tuple_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dataclass_type": "must be an object",
    "none_required": "must be null",
}


def without_excess(raw: dict[str, Value], model: type[pydantic.BaseModel]) -> dict[str, Value]:
    """The same object when it has few fields; else its known fields and 20 unknown ones.

    An object of a million unknown fields is refused all the same, without the million errors.
    """
    known = {field.alias or name for name, field in model.model_fields.items()}
    unknown = (name for name in raw if name not in known)
    kept = known.union(islice(unknown, MAX_ERRORS))
    return {name: value for name, value in raw.items() if name in kept}


def validation_details(
    error: pydantic.ValidationError, prefix: Sequence[str | int] = ()
) -> dict[str, JsonValue]:
    """`{"errors": [{"loc": [...], "msg": "..."}]}`: at most 20, without input values.

    `prefix` goes before every location.
    """
    entries: list[JsonValue] = []
    for item in error.errors(include_url=False, include_input=False):
        if item["type"] == "none_required":
            continue  # the null branch of a field whose value branch says what is wrong
        entries.append({"loc": _place(item, prefix), "msg": _sentence(item)})
        if len(entries) == MAX_ERRORS:
            break
    return {"errors": entries}


def refusal_of(
    error: pydantic.ValidationError, what: str, prefix: Sequence[str | int] = ()
) -> HoldfastError:
    """Our error for a refused model: `TooLargeError` where a length was the reason.

    `what` names the model in the sentence, e.g. `payload of storage_save`.
    """
    details = validation_details(error, prefix)
    kinds = {item["type"] for item in error.errors(include_url=False, include_input=False)}
    kind = TooLargeError if "too_large" in kinds else ValidationError
    return kind(describe(what, details), details)


def describe(what: str, details: Mapping[str, JsonValue]) -> str:
    """One sentence for a person: what was wrong, and with the first place named."""
    errors = details.get("errors")
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], dict):
        return f"Invalid {what}"
    loc, msg = errors[0].get("loc"), errors[0].get("msg")
    place = ".".join(str(part) for part in loc) if isinstance(loc, list) else ""
    if len(place) > _MAX_PLACE:
        place = place[:_MAX_PLACE] + "…"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"Invalid {what}: {place} {msg}{more}" if place else f"Invalid {what}: {msg}{more}"


def problem(loc: Sequence[str | int], msg: str) -> dict[str, JsonValue]:
    """Details of one error at one place."""
    return {"errors": [{"loc": [_printable(part) for part in loc], "msg": msg}]}


def _place(item: ErrorDetails, prefix: Sequence[str | int]) -> list[JsonValue]:
    within = item.get("ctx", {}).get("place", [])
    parts = [*prefix, *item["loc"], *within]
    if parts and parts[-1] == "[key]":  # the library's mark for "the key itself"
        parts.pop()
    return [_printable(part) for part in parts if part not in _BRANCHES]


def _printable(part: str | int) -> str | int:
    """A key of the sender's as part of an answer: bounded, and always writable as JSON."""
    if isinstance(part, int):
        return part
    if len(part) > _MAX_NAME:
        part = part[:_MAX_NAME] + "…"
    return part.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _sentence(item: ErrorDetails) -> str:
    if item["type"] in _OURS:
        return item["msg"]
    return _SENTENCES.get(item["type"], "is not valid")
