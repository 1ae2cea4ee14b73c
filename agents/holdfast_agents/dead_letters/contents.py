"""What can be read of the message inside a dead letter, whatever its body holds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from pydantic import JsonValue

from holdfast_protocol.jsontext import NotJsonError, is_clean, is_proven, load, scan
from holdfast_protocol.limits import MAX_MESSAGE_BYTES, MAX_MESSAGE_LEVELS

T = TypeVar("T")

_LARGE_BODY: Final = 1024 * 1024
_LEVELS: Final = MAX_MESSAGE_LEVELS + 1  # an array around the message


@dataclass(frozen=True, slots=True)
class Contents:
    """The first message of a body, and the actions of all of them.

    None, or nothing, where it could not be read; nothing in it has been checked.
    """

    action: str | None = None
    message_id: str | None = None
    sender: str | None = None
    actions: frozenset[str] = frozenset()


async def beside(read: Callable[[bytes], T], body: bytes) -> T:
    """Read a body; a large one beside the event loop, which has heartbeats to answer."""
    return await asyncio.to_thread(read, body) if len(body) > _LARGE_BODY else read(body)


def read_contents(body: bytes) -> Contents:
    """The contents of a body; never raises. One that no agent would parse is not parsed here."""
    if len(body) > MAX_MESSAGE_BYTES:
        return Contents()
    try:
        value, _faulty = load(body)
    except NotJsonError:
        return Contents()
    items = value if isinstance(value, list) else [value]
    messages = [item for item in items if isinstance(item, dict)]
    actions = frozenset(filter(None, (_text(message, "action") for message in messages)))
    if not messages or messages[0] is not items[0]:
        return Contents(actions=actions)
    first = messages[0]
    return Contents(_text(first, "action"), _text(first, "id"), _text(first, "sender"), actions)


def read_json(body: bytes) -> JsonValue:
    """The value of a body, if writing it again would tell all that stands in it.

    Raises:
        NotJsonError: it is no JSON, or holds what a message may not: a duplicate key, a number
            out of range, a lone surrogate, a NUL, too many levels. The text tells more then.
    """
    if len(body) > MAX_MESSAGE_BYTES:
        raise NotJsonError("is too large to be parsed")
    value, faulty = load(body)
    if faulty or not is_proven(value, body, _LEVELS):
        value = scan(value, body)
        if not is_clean(value, body, _LEVELS):
            raise NotJsonError("holds what no message may hold")
    return cast("JsonValue", value)


def _text(message: dict[str, object], name: str) -> str | None:
    value = message.get(name)
    return value if isinstance(value, str) else None
