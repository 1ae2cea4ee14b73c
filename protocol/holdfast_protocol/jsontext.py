"""Strict reading of JSON text: what a JSON parser would silently repair is found and placed.

Reading is fast because the parsed value is written again and compared with the text: equality
proves that no key stood twice and no number was changed. Only a text that is written
differently (escapes, odd floats) is scanned slowly. Source: the wire contract, section 10.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

from .limits import MAX_INTEGER, MIN_INTEGER

# Parsed JSON, in which a `Poison` may stand where the text broke a rule.
Parsed: TypeAlias = object

# orjson writes at most so many levels; deeper text is refused whole as unsafe to parse.
SAFE_LEVELS: Final = 254

_BLANKS: Final = b" \t\r\n"
# Without it a `Poison` would be written as an object.
_NO_DATACLASS: Final = orjson.OPT_PASSTHROUGH_DATACLASS
# Digits to `0`, everything else to `.`: a run of 19 digits is then a plain search.
_DIGITS: Final = bytes(48 if 48 <= byte <= 57 else 46 for byte in range(256))
_LONG_RUN: Final = b"0" * 19
_LONG_INTEGER: Final = re.compile(rb"(?<![0-9.-])[0-9]{19,20}(?![0-9.eE])")
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_EXPONENT: Final = re.compile(rb"([eE])([+-]?[0-9]{3,})")
_DIGIT_RUN: Final = re.compile(rb"(?<![0-9])([0-9]{20})[0-9]{80,}")


class NotJsonError(Exception):
    """The text is no JSON, or nested too deeply to be parsed; the message says which."""


@dataclass(frozen=True, slots=True)
class Poison:
    """Stands in the parsed value where the text broke a rule."""

    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """The first broken rule inside a value, and its place."""

    loc: tuple[str | int, ...]
    message: str


_PLAIN: Final = frozenset({int, float, bool, type(None)})
_TWICE: Final = Poison("is given twice in the same object")
_INTEGER_RANGE: Final = Poison("is outside the signed 64-bit range")
_FLOAT_RANGE: Final = Poison("is outside the range of a double")


def load(body: bytes) -> tuple[Parsed, bool]:
    """The value of a UTF-8 JSON text, and whether it must still be scanned.

    Raises:
        NotJsonError: the text is no JSON.
    """
    try:
        return orjson.loads(body), False
    except orjson.JSONDecodeError:
        # Lone surrogates and huge numbers concern one message; anything else the whole body.
        try:
            return orjson.loads(_without_local_faults(body)), True
        except orjson.JSONDecodeError as error:
            raise NotJsonError(_reason(error)) from None


def is_proven(value: Parsed, body: bytes, levels: int) -> bool:
    """Whether the text keeps every rule and at most `levels` levels, cheaply shown.

    False means "not shown": then `scan`, `is_clean` and `find_problem` decide.
    """
    written = _written(value, body, levels)
    if written is None or _holds_nul(body):
        return False
    # Without white space (inside texts too, on both sides), so that every token is compared.
    if written != body and written.translate(None, _BLANKS) != body.translate(None, _BLANKS):
        return False
    return not _may_hold_long_integer(body)


def scan(value: Parsed, body: bytes) -> Parsed:
    """The value again, read slowly, with a `Poison` at each duplicate key or number out of range.

    `value` is what `load` gave.

    Raises:
        NotJsonError: nested too deeply.
    """
    try:
        orjson.dumps(value)
        return _SCANNER.decode(body.decode())
    except (orjson.JSONEncodeError, RecursionError):
        raise NotJsonError("is nested too deeply") from None
    except ValueError:  # the two parsers disagree: believe the one that refuses
        raise NotJsonError("is not UTF-8 JSON") from None


def is_clean(scanned: Parsed, body: bytes, levels: int) -> bool:
    """Whether a scanned value holds no problem at all.

    The writer refuses a `Poison`, a lone surrogate and too many levels by itself.
    """
    written = _written(scanned, body, levels)
    return written is not None and not _holds_nul(written)


def find_problem(value: Parsed, levels: int) -> Problem | None:
    """The first broken rule in the value, in the order of the text; None when there is none."""
    fault = _fault(value, 0, levels)
    if fault is not None:
        return Problem((), fault)
    path: list[str | int] = []
    open_containers = [_entries(value)]
    while open_containers:
        entry = next(open_containers[-1], None)
        if entry is None:
            open_containers.pop()
            del path[-1:]
            continue
        key, item = entry
        if type(key) is int and type(item) in _PLAIN:
            continue
        fault = _text_fault(key) or _fault(item, len(open_containers), levels)
        if fault is not None:
            return Problem((*path, key), fault)
        if isinstance(item, (dict, list)):
            open_containers.append(_entries(item))
            path.append(key)
    return None


def _entries(value: Parsed) -> Iterator[tuple[str | int, Parsed]]:
    if isinstance(value, dict):
        return iter(value.items())
    return enumerate(value) if isinstance(value, list) else iter(())


def _written(value: Parsed, body: bytes, levels: int) -> bytes | None:
    """Compact JSON of the value; None when it has over `levels` levels or cannot be written."""
    try:
        if body.count(b"{") + body.count(b"[") <= levels:
            return orjson.dumps(value, None, _NO_DATACLASS)
        # The writer's own limit measures the depth: with these lists around it, a value
        # of more levels cannot be written.
        around = SAFE_LEVELS - levels
        for _ in range(around):
            value = [value]
        return orjson.dumps(value, None, _NO_DATACLASS)[around:-around]
    except orjson.JSONEncodeError:
        return None


def _holds_nul(text: bytes) -> bool:
    return b"\\" in text and b"\\u0000" in text


def _may_hold_long_integer(body: bytes) -> bool:
    """Whether an integer of 2^63 to 2^64-1 may stand in the text (the parser keeps those)."""
    if _LONG_RUN not in body.translate(_DIGITS):
        return False
    return any(int(match[0]) > MAX_INTEGER for match in _LONG_INTEGER.finditer(body))


def _without_local_faults(body: bytes) -> bytes:
    """The text with the same structure, but without surrogates and huge numbers."""
    body = _SURROGATE_ESCAPE.sub(rb"\\ufffd", body)
    body = _EXPONENT.sub(lambda match: match[1] + b"0" * len(match[2]), body)
    return _DIGIT_RUN.sub(rb"\1", body)


def _reason(error: orjson.JSONDecodeError) -> str:
    return "is nested too deeply" if "depth" in error.msg else "is not UTF-8 JSON"


def _pairs(pairs: list[tuple[str, Parsed]]) -> dict[str, Parsed]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                result[key] = _TWICE
            seen.add(key)
    return result


def _integer(text: str) -> Parsed:
    # A text of more digits is out of range; converting it could take long.
    if len(text) > 20 or not MIN_INTEGER <= (number := int(text)) <= MAX_INTEGER:
        return _INTEGER_RANGE
    return number


def _float(text: str) -> Parsed:
    number = float(text)
    return _FLOAT_RANGE if number in (float("inf"), float("-inf")) else number


_SCANNER: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float)


def _fault(item: Parsed, depth: int, levels: int) -> str | None:
    if isinstance(item, Poison):
        return item.message
    if isinstance(item, (dict, list)) and depth >= levels:
        return f"is nested more than {levels} levels deep"
    return _text_fault(item)


def _text_fault(text: Parsed) -> str | None:
    if not isinstance(text, str):
        return None
    if "\0" in text:
        return "holds a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "holds a lone surrogate"
    return None
