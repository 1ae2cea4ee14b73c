"""When a proxy cuts a connection, and how."""

import asyncio
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class When(StrEnum):
    """What of the n-th thing still passes."""

    BEFORE = "before"
    """Nothing of it."""
    WITHIN = "within"
    """All but the second half of its last frame: the reader is left with half a frame."""
    AFTER = "after"
    """All of it; nothing of what follows, in either direction."""


class How(StrEnum):
    """How both ends see it."""

    RESET = "reset"
    """As an error: RST."""
    CLOSE = "close"
    """As an end: FIN."""
    SILENCE = "silence"
    """Not at all for `Cut.linger` seconds, in which nothing passes any more; then as an error."""


class Point(StrEnum):
    """What is counted."""

    PUBLISH = "publish"
    """basic.publish with its content, client to broker."""
    CONFIRM = "confirm"
    """basic.ack or basic.nack, broker to client; one that means several counts once."""
    DELIVERY = "delivery"
    """basic.deliver with its content, broker to client."""
    ACK = "ack"
    """basic.ack, client to broker; one that means several counts once."""
    ASKED = "chunk from the client"
    """What one read gave: an uneven part of the stream, 64 KiB at most."""
    ANSWERED = "chunk from the server"


LINGER: Final = 0.05


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut a connection at the n-th of something.

    Whoever sent the n-th thing loses the connection at once (not with `How.SILENCE`). The other
    end has, before it loses it too, `linger` seconds in which nothing is passed on: so it
    certainly got what it was to get, and what it says to that is lost.

    Args:
        n: counted from when the rule was set, from 1.
        per_connection: count each connection for itself, from when the rule was set or it began.
        repeat: the rule stays until it is lifted; otherwise it cuts once.
        linger: seconds.
    """

    point: Point
    when: When = When.AFTER
    n: int = 1
    how: How = How.RESET
    per_connection: bool = False
    repeat: bool = False
    linger: float = LINGER

    def __str__(self) -> str:
        """The rule in words."""
        counted = " of a connection" if self.per_connection else ""
        return f"{self.how} {self.when} {self.point} {self.n}{counted}"


@dataclass(eq=False)
class Armed:
    """A rule that was set, and what it has counted."""

    cut: Cut
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it has cut for the first time, and both ends know."""
    times: int = 0
    struck_at: float = 0.0
    """When it has cut last, on CLOCK_MONOTONIC."""
    _counts: dict[int, int] = field(default_factory=dict)

    def counts(self, connection: int) -> bool:
        """Count one more; whether this is the one to cut at."""
        if self.times and not self.cut.repeat:
            return False
        key = connection if self.cut.per_connection else 0
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] != self.cut.n:
            return False
        self.times += 1
        self.struck_at = time.monotonic()
        if not self.cut.per_connection:
            self._counts[key] = 0
        return True

    def forget(self, connection: int) -> None:
        """The connection is gone."""
        self._counts.pop(connection, None)


class Rules:
    """The rules that are set at the moment."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []

    def set(self, cut: Cut) -> Armed:
        """From now on."""
        armed = Armed(cut)
        self._armed.append(armed)
        return armed

    def lift(self, armed: Armed) -> None:
        """It cuts no more."""
        self._armed.remove(armed)

    def begins(self, point: Point, connection: int) -> Armed | None:
        """Something begins to pass: the rule that cuts before it."""
        return self._struck(point, connection, before=True)

    def passes(self, point: Point, connection: int) -> Armed | None:
        """The last part of it is about to pass: the rule that cuts within or after it."""
        return self._struck(point, connection, before=False)

    def forget(self, connection: int) -> None:
        """The connection is gone."""
        for armed in self._armed:
            armed.forget(connection)

    def _struck(self, point: Point, connection: int, *, before: bool) -> Armed | None:
        concerned = [
            armed
            for armed in self._armed
            if armed.cut.point is point and (armed.cut.when is When.BEFORE) is before
        ]
        struck = [armed for armed in concerned if armed.counts(connection)]
        return struck[0] if struck else None
