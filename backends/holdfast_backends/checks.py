"""Refusing what no document may hold, and naming the place.

The recursion ends at the limit of levels, so a deep value cannot exhaust the stack.
"""

import math
from collections.abc import Iterable

from .errors import InvalidValueError, Loc
from .values import (
    MAX_INTEGER,
    MAX_KEY_CHARS,
    MAX_LEVELS,
    MAX_TTL_SECONDS,
    MIN_INTEGER,
    JsonObject,
    RecordId,
    is_collection,
    is_number,
    is_record_id,
)


def check_text(text: str, loc: Loc) -> None:
    """Refuse NUL and lone surrogates."""
    if "\x00" in text:
        raise InvalidValueError("a string must not hold a NUL character", loc)
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidValueError("a string must not hold a lone surrogate", loc) from None


def _check_key(key: object, loc: Loc) -> None:
    if not isinstance(key, str):
        raise InvalidValueError("a key must be a string", loc)
    if len(key) > MAX_KEY_CHARS:
        raise InvalidValueError(f"a key must have at most {MAX_KEY_CHARS} characters", loc)
    if key[:1] == "$":
        raise InvalidValueError("a key must not begin with '$'", (*loc, key))
    check_text(key, loc)


def _check_scalar(value: object, loc: Loc) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(value, loc)
    elif isinstance(value, int):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise InvalidValueError("an integer must fit into 64 bits, signed", loc)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValueError("a number must be finite", loc)
    else:
        raise InvalidValueError("not a JSON value", loc)


def check_value(value: object, loc: Loc = (), *, level: int = 0) -> None:
    """Refuse a value that no document may hold.

    Args:
        value: what should be a JSON value.
        loc: where it stands, for the error.
        level: how many objects and arrays it already stands in; a document itself is level 1.

    Raises:
        InvalidValueError: naming the first bad place.
    """
    # Nearly every value is lawful: only when one is not does the place matter.
    if not _is_lawful(value, level):
        _locate_fault(value, loc, level)


def _is_lawful(value: object, level: int) -> bool:
    kind = type(value)
    if kind is str:
        return _is_lawful_text(value)  # type: ignore[arg-type]
    if value is None or kind is bool:
        return True
    if kind is int:
        return MIN_INTEGER <= value <= MAX_INTEGER  # type: ignore[operator]
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if level >= MAX_LEVELS:
        return False
    if kind is dict:
        return _are_lawful_keys(value) and _are_lawful(value.values(), level + 1)  # type: ignore[arg-type,attr-defined]
    return kind is list and _are_lawful(value, level + 1)  # type: ignore[arg-type]


def _are_lawful_keys(keys: Iterable[object]) -> bool:
    for key in keys:
        if type(key) is not str or len(key) > MAX_KEY_CHARS or key[:1] == "$":
            return False
        if "\x00" in key or not (key.isascii() or _is_lawful_text(key)):
            return False
    return True


def _are_lawful(values: Iterable[object], level: int) -> bool:
    # The same as `_is_lawful` of each, with what most values are looked at without a call.
    for value in values:
        kind = type(value)
        if kind is str:
            if "\x00" in value or not (value.isascii() or _is_lawful_text(value)):  # type: ignore[operator,attr-defined,arg-type]
                return False
        elif value is not None and kind is not bool and not _is_lawful(value, level):
            return False
    return True


def _is_lawful_text(text: str) -> bool:
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _locate_fault(value: object, loc: Loc, level: int) -> None:
    """The same rules again, with places; raises for the first fault in document order."""
    if isinstance(value, (dict, list)) and level >= MAX_LEVELS:
        raise InvalidValueError(f"at most {MAX_LEVELS} levels", loc)
    if isinstance(value, dict):
        for key, child in value.items():
            _check_key(key, loc)
            _locate_fault(child, (*loc, key), level + 1)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            _locate_fault(child, (*loc, index), level + 1)
    else:
        _check_scalar(value, loc)


def check_collection(name: object) -> None:
    """Refuse what is no collection's name."""
    if not is_collection(name):
        raise InvalidValueError(
            "a collection's name is a lower-case letter and up to 62 of a-z 0-9 _ -",
            ("collection",),
        )


def check_id(value: object, loc: Loc = ("id",)) -> RecordId:
    """Refuse what is no record's id."""
    if not is_record_id(value):
        raise InvalidValueError("an id is an integer from 1 to 2^63-1 or 1-255 characters", loc)
    return value


def check_if_version(value: object, *, least: int) -> None:
    """Refuse what cannot be the version a writer has seen."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_INTEGER:
        raise InvalidValueError(f"if_version is an integer of at least {least}", ("if_version",))


def check_ttl(value: object) -> None:
    """Refuse a time to live (seconds) that is not above 0 and at most 100 years."""
    if value is None:
        return
    if not is_number(value) or not 0 < value <= MAX_TTL_SECONDS:
        raise InvalidValueError(
            f"ttl_seconds is a number above 0 and at most {MAX_TTL_SECONDS}", ("ttl_seconds",)
        )


def check_document(document: object) -> JsonObject:
    """Refuse what is no document: a JSON object within the limits, with a lawful id or none."""
    if not isinstance(document, dict):
        raise InvalidValueError("a document is a JSON object")
    check_value(document)
    if document.get("id") is not None:
        check_id(document["id"])
    return document


MAX_LEASE_SECONDS = 24 * 3600.0
_MAX_LOCK_NAME_CHARS = 255
_MAX_OWNER_CHARS = 128


def check_lock_name(name: object, loc: Loc) -> None:
    """Refuse what names no lock: 1–255 characters, not beginning with `$`."""
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_LOCK_NAME_CHARS:
        raise InvalidValueError("a lock's name has 1 to 255 characters", loc)
    check_text(name, loc)


def check_owner(owner: object) -> None:
    """Refuse what names no owner: 1–128 characters."""
    if not isinstance(owner, str) or not 0 < len(owner) <= _MAX_OWNER_CHARS:
        raise InvalidValueError("an owner has 1 to 128 characters", ("owner",))
    check_text(owner, ("owner",))


def check_token(token: object, loc: Loc) -> None:
    """Refuse what is no fencing token: an integer from 1."""
    is_integer = isinstance(token, int) and not isinstance(token, bool)
    if not is_integer or not 1 <= token <= MAX_INTEGER:  # type: ignore[operator]
        raise InvalidValueError("a fencing token is an integer from 1", loc)


def check_lease(seconds: object) -> None:
    """Refuse a lease that is not above 0 and at most a day."""
    if not is_number(seconds) or not 0 < seconds <= MAX_LEASE_SECONDS:
        message = f"lease_seconds is a number above 0, at most {MAX_LEASE_SECONDS:.0f}"
        raise InvalidValueError(message, ("lease_seconds",))
