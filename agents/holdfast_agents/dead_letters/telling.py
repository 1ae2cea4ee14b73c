"""A dead letter as it is told to others: bounded, whatever a sender has put into it."""

from functools import partial
from typing import Final

from pydantic import JsonValue

from holdfast_protocol.actions import DeadLetter, DeadLetterDetail
from holdfast_protocol.bus.messages import DeadLetter as Letter
from holdfast_protocol.codec import compact_json
from holdfast_protocol.jsontext import NotJsonError

from .contents import beside, read_contents, read_json

MAX_TEXT_BYTES: Final = 64 * 1024
"""Of a body that is told as text."""

_MAX_WORD: Final = 255
_MAX_ERROR: Final = 1_000


async def summary_of(letter: Letter) -> DeadLetter:
    """What a letter is, without its body. Its texts are cut, its id never (255 bytes at most)."""
    contents = await beside(read_contents, letter.body)
    return DeadLetter(
        id=letter.id,
        reason=_cut(letter.reason),
        agent=_cut(letter.agent),
        error=_cut(letter.error, _MAX_ERROR),
        action=_cut_if_any(contents.action),
        message_id=_cut_if_any(contents.message_id),
        sender=_cut_if_any(contents.sender),
        routing_key=_cut(letter.routing_key),
        attempts=max(1, letter.attempts),
        at=letter.at,
        bytes=len(letter.body),
    )


async def detail_of(letter: Letter, *, max_bytes: int) -> DeadLetterDetail:
    """The same with the body: as JSON where it is one and writing it again loses nothing of it
    and takes at most `max_bytes`, else its beginning as text."""
    summary = (await summary_of(letter)).model_dump()
    try:
        message = await beside(partial(_rewritable, max_bytes=max_bytes), letter.body)
    except NotJsonError:
        message = None
    if message is not None:
        return DeadLetterDetail(**summary, message=message)
    return DeadLetterDetail(**summary, text=beginning_of(letter.body))


def _rewritable(body: bytes, *, max_bytes: int) -> JsonValue:
    value = read_json(body)
    # Not the body's size: `1e15` is written again as `1000000000000000.0`, blanks are not.
    if len(compact_json(value)) > max_bytes:
        raise NotJsonError("is too large to be told")
    return value


def beginning_of(body: bytes) -> str:
    """The first 64 KiB as text; what is no UTF-8 becomes U+FFFD."""
    return body[:MAX_TEXT_BYTES].decode(errors="replace")


def _cut(text: str, limit: int = _MAX_WORD) -> str:
    # A lone surrogate could not be written as JSON.
    return text[:limit].encode(errors="replace").decode()


def _cut_if_any(text: str | None) -> str | None:
    return None if text is None else _cut(text)
