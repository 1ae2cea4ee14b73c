"""Message logs: JSON Lines, one exchange a line. Source: the wire contract, section 8."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeVar

import pydantic
from pydantic import BaseModel, JsonValue

from .errors import ValidationError
from .jsonbytes import compact_json
from .jsontext import NotJsonError, find_problem, is_proven, load, scan
from .limits import MAX_MESSAGE_LEVELS
from .messages import AgentMessage, AgentResponse
from .times import format_time, parse_time, utc_now
from .validation import describe, problem, refusal_of
from .wire import message_fields, response_fields

M = TypeVar("M", bound=BaseModel)

LOG_VERSION: Final = 1
# A message or response stands one level deep in its line.
_LEVELS: Final = MAX_MESSAGE_LEVELS + 1
_KNOWN: Final = frozenset({"v", "at", "agent", "message", "response"})
_ANSWERED: Final = frozenset(AgentResponse.model_fields)


@dataclass(frozen=True, slots=True)
class LoggedExchange:
    """One line: what an agent was told and what it answered.

    `at` is the moment after the commit. `extra` holds the line's unknown keys; they are kept
    and ignored.
    """

    agent: str
    message: AgentMessage
    response: AgentResponse
    at: datetime = field(default_factory=utc_now)
    extra: Mapping[str, JsonValue] = field(default_factory=dict)


def read_log(source: Path | str | Iterable[str | bytes]) -> Iterator[LoggedExchange]:
    """The exchanges of a log file (by its path) or of its lines, one at a time, in order.

    Empty lines are skipped.

    Raises:
        ValidationError: a line is no exchange of version 1; the text and `details.line`
            (from 1) name the line.
        OSError: the file cannot be read.
    """
    if isinstance(source, (Path, str)):
        with Path(source).open("rb") as lines:
            yield from _exchanges(lines)
    else:
        yield from _exchanges(source)


def write_exchange(exchange: LoggedExchange) -> bytes:
    """The exchange as one line, newline included."""
    line: dict[str, object] = {
        "v": LOG_VERSION,
        "at": format_time(exchange.at),
        "agent": exchange.agent,
        "message": message_fields(exchange.message),
        "response": response_fields(exchange.response),
    }
    line.update((key, value) for key, value in exchange.extra.items() if key not in _KNOWN)
    return compact_json(line) + b"\n"


class LogWriter:
    """Appends exchanges to a log file; a context manager.

    Raises:
        OSError: the file cannot be opened or written.
    """

    def __init__(self, path: Path | str) -> None:
        self._file: IO[bytes] = Path(path).open("ab")  # noqa: SIM115 - closed by `close`

    def write(self, exchange: LoggedExchange) -> None:
        """Append one exchange; in the file at the latest when the writer is closed."""
        self._file.write(write_exchange(exchange))

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _exchanges(lines: Iterable[str | bytes]) -> Iterator[LoggedExchange]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield parse_exchange(line)
        except ValidationError as error:
            details = {**error.details, "line": number}
            raise ValidationError(f"Line {number}: {error.message}", details) from None


def parse_exchange(line: str | bytes) -> LoggedExchange:
    """The exchange of one line.

    Raises:
        ValidationError: the line is no exchange of version 1.
    """
    raw = _object(line.encode() if isinstance(line, str) else line)
    _check_version(raw.get("v"))
    agent = raw.get("agent")
    if not isinstance(agent, str):
        raise ValidationError("agent is no string")
    return LoggedExchange(
        agent,
        _model(AgentMessage, raw, "message"),
        _model(AgentResponse, raw, "response"),
        _time(raw.get("at")),
        {key: value for key, value in raw.items() if key not in _KNOWN},
    )


def _object(line: bytes) -> dict[str, JsonValue]:
    """The line's object, as strict as a message's text."""
    try:
        value, faulty = load(line)
        if faulty or not is_proven(value, line, _LEVELS):
            value = scan(value, line)
            found = find_problem(value, _LEVELS)
            if found is not None:
                details = problem(found.loc, found.message)
                raise ValidationError(describe("text", details), details)
    except NotJsonError as error:
        raise ValidationError(f"the text {error}") from None
    if not isinstance(value, dict):
        raise ValidationError("the text is no object")
    return value


def _model(model: type[M], raw: dict[str, JsonValue], name: str) -> M:
    value = raw.get(name)
    if model is AgentResponse and isinstance(value, dict) and not value.keys() <= _ANSWERED:
        # The contract only grows: a later agent may have answered more.
        value = {key: value[key] for key in value if key in _ANSWERED}
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        raise refusal_of(error, name, (name,)) from None


def _check_version(version: JsonValue) -> None:
    if type(version) is not int or version < 1:
        raise ValidationError("no version of a message log")
    if version > LOG_VERSION:
        raise ValidationError(
            f"written by a later version of the log format ({version}); "
            f"this program reads version {LOG_VERSION}"
        )


def _time(raw: JsonValue) -> datetime:
    try:
        return parse_time(raw if isinstance(raw, str) else "")
    except ValueError:
        raise ValidationError("at is no RFC 3339 time") from None
