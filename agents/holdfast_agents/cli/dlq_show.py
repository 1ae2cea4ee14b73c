"""What a person sees of dead letters. Whoever may publish wrote parts of it: nothing of that
may reach the terminal as a control character."""

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import orjson
from pydantic import BaseModel
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from holdfast_agents.dead_letters import Listing
from holdfast_agents.dead_letters.telling import MAX_TEXT_BYTES
from holdfast_protocol.actions import DeadLetter, DeadLetterDetail
from holdfast_protocol.bus.messages import DeadLetter as Letter

from .common import console

_PLAIN_WIDTH: Final = 200  # columns, without a terminal: ids stay whole
_MAX_ERROR: Final = 120
_MAX_WORD: Final = 40
_MAX_HEADER: Final = 1_000
_ESCAPE: Final = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_TOLD_ALREADY: Final = "x-holdfast-"
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_WHY: Final = {
    "no_route": "nobody is bound to their agent's name: is `holdfast serve` running there?",
    "overloaded": "their agent's queue takes no more now: try again later",
}


def printable(text: str, keep: str = "") -> str:
    """The text with everything escaped that is no visible character, space or one of `keep`."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else _escaped(character)
        for character in text
    )


def as_meant(text: str) -> list[str]:
    """The texts that `printable` shows like this one: itself, and what its escapes stand for."""
    return list(dict.fromkeys((text, _ESCAPE.sub(_unescaped, text))))


def json_line(model: BaseModel) -> str:
    """The model as one line of JSON, without a character that a terminal might obey."""
    text = model.model_dump_json()
    if text.isprintable():
        return text
    # Such characters stand in texts only, where JSON has an escape for each.
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )


def print_listing(listing: Listing) -> None:
    """A table of the letters on stdout, and how many there are."""
    out = console()
    if not out.is_terminal:
        out.width = _PLAIN_WIDTH
    if listing.letters:
        out.print(_table(listing.letters))
    shown = f"{len(listing.letters):,} of {listing.total:,} dead letters"
    more = "" if listing.complete else "; there may be more that match: raise --limit"
    out.print(Text(shown + more, style="dim"))


def print_letter(letter: Letter, detail: DeadLetterDetail) -> None:
    """One letter: what is known of it, its headers, its body."""
    out = console()
    for name, value in _facts(letter, detail).items():
        if value:
            _print_fact(out, name, value)
    for name in sorted(letter.headers):
        if not name.lower().startswith(_TOLD_ALREADY):
            _print_fact(out, printable(_cut(name, _MAX_WORD)), letter.headers[name], style="dim")
    out.print()
    out.print(_body(detail), soft_wrap=True)
    if len(letter.body) > MAX_TEXT_BYTES:
        text = f"… {len(letter.body):,} bytes; all of them: holdfast dlq show --raw"
        out.print(Text(text, style="dim"))


def print_failures(failures: Mapping[str, int]) -> None:
    """Why letters could not be sent, on stderr."""
    out = console(stderr=True)
    for error_type, count in failures.items():
        why = _WHY.get(error_type, error_type)
        out.print(Text(f"{count:,} could not be sent: {why}", style="red"), soft_wrap=True)


def age_of(at: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that makes it 1 or more: `7d`."""
    if at is None:
        return "?"
    seconds = max(0, int((now - at).total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return "0s"


def _table(letters: list[DeadLetter]) -> Table:
    table = Table(box=None, pad_edge=False)
    # In one line, to be copied, as long as that leaves room for the rest.
    is_short = all(len(letter.id) <= _MAX_WORD for letter in letters)
    table.add_column("id", overflow="fold", no_wrap=is_short)
    table.add_column("age", justify="right", no_wrap=True)
    for heading in ("reason", "agent", "action"):
        table.add_column(heading, overflow="fold")
    table.add_column("tries", justify="right", no_wrap=True)
    table.add_column("error", overflow="fold")
    now = datetime.now(UTC)
    for letter in letters:
        words = (letter.reason, letter.agent, letter.action or "")
        table.add_row(
            Text(printable(letter.id)),
            age_of(letter.at, now),
            *(Text(printable(_cut(word, _MAX_WORD))) for word in words),
            str(letter.attempts),
            Text(printable(_cut(letter.error, _MAX_ERROR))),
        )
    return table


def _facts(letter: Letter, detail: DeadLetterDetail) -> dict[str, str | None]:
    at = letter.at
    return {
        "id": letter.id,
        "given up": None if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC",
        "reason": letter.reason,
        "error": letter.error,
        "agent": letter.agent,
        "attempts": str(letter.attempts),
        "action": detail.action,
        "message": detail.message_id,
        "sender": detail.sender,
        "routing key": letter.routing_key,
        "reply to": letter.reply_to,
        "correlation": letter.correlation_id,
        "bytes": f"{len(letter.body):,}",
    }


def _print_fact(out: Console, name: str, value: str, style: str = "") -> None:
    line = Text(f"{name:<12} ", style="bold")
    line.append(printable(_cut(value, _MAX_HEADER)), style=style or "not bold")
    out.print(line, soft_wrap=True)


def _body(detail: DeadLetterDetail) -> Text:
    if detail.message is None:
        return Text(printable(detail.text or "", keep="\n\t"))
    indented = orjson.dumps(detail.message, option=orjson.OPT_INDENT_2)[:MAX_TEXT_BYTES]
    return JSONHighlighter()(printable(indented.decode(errors="ignore"), keep="\n"))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _unescaped(escape: re.Match[str]) -> str:
    number = int(escape[1][1:], 16)
    # Nothing else is ever shown escaped.
    is_one = number <= sys.maxunicode and not chr(number).isprintable()
    return chr(number) if is_one else escape[0]


def _escaped(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
