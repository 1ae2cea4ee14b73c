"""Reading a message log line by line, where a broken line hides none of the others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from holdfast_protocol.errors import ValidationError
from holdfast_protocol.logs import LOG_VERSION, LoggedExchange, parse_exchange

_TTL: Final = b'"ttl_seconds"'
_LEASE: Final = b'"lease_seconds"'


class LaterVersionError(Exception):
    """The log was written by a later version of the format: nothing of it can be trusted here."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One exchange and where it stands.

    Args:
        number: of its line, from 1.
        size: of its line, in bytes.
        timed: whether it may let a record or a lease expire, so that the moments of what
            follows matter.
        stands_for_original: whether it told a stored answer whose first telling is not in the log
            (see `ordering.normalised`).
        text: the line itself, where that was asked for.
    """

    number: int
    size: int
    exchange: LoggedExchange
    timed: bool = False
    stands_for_original: bool = False
    text: bytes = b""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no exchange: truncated, corrupted or of no known form."""

    number: int
    size: int
    reason: str


def read_entries(
    lines: Iterable[bytes], *, first: int = 1, keep_text: bool = False
) -> Iterator[LogEntry | BadLine]:
    """The lines of a log in order, one at a time; empty lines are skipped.

    Args:
        first: the number of the first line.
        keep_text: whether the entries hold their lines too.

    Raises:
        LaterVersionError: a line is of a later version of the format.
    """
    for number, line in enumerate(lines, start=first):
        if line.strip():
            yield _entry(number, line, line if keep_text else b"")


def _entry(number: int, line: bytes, text: bytes) -> LogEntry | BadLine:
    try:
        exchange = parse_exchange(line)
    except ValidationError as error:
        _refuse_later(number, line)
        return BadLine(number, len(line), error.message)
    timed = _TTL in line or _LEASE in line
    return LogEntry(number, len(line), exchange, timed, text=text)


def _refuse_later(number: int, line: bytes) -> None:
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError:
        return
    version = raw.get("v") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > LOG_VERSION:
        raise LaterVersionError(
            f"line {number} is of version {version} of the log format; "
            f"this program knows version {LOG_VERSION}: upgrade holdfast"
        )
