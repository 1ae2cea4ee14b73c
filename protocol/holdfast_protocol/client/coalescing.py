"""Messages of the same moment travel as one AMQP message.

No timer: what was added during one turn of the event loop leaves at its end, or as soon as
a body is full. Source: the wire contract, section 5.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from holdfast_protocol.client.outgoing import Outgoing
from holdfast_protocol.jsonbytes import join_array

MAX_BODY_BYTES: Final = 1024 * 1024
"""Where a body counts as full. A larger message travels alone."""


class _Parcel:
    """What will travel together."""

    __slots__ = ("items", "size")

    def __init__(self) -> None:
        self.items: list[Outgoing] = []
        self.size = 2


class Coalescer:
    """Gathers messages by recipient, and hands them on as full bodies or at the turn's end.

    `dispatch` is called on the event loop with at least one and at most `max_messages`
    messages of one recipient, all with or all without a reply.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        dispatch: Callable[[Sequence[Outgoing]], None],
        max_messages: int,
    ) -> None:
        self._loop = loop
        self._dispatch = dispatch
        self._max_messages = max_messages
        self._parcels: dict[tuple[str, bool], _Parcel] = {}
        self._flush: asyncio.Handle | None = None

    def add(self, item: Outgoing) -> None:
        """Let the message leave with the others of this moment."""
        key = (item.recipient, item.wants_reply)
        size = len(item.body) + 1
        parcel = self._parcels.get(key)
        if parcel is not None and parcel.size + size > MAX_BODY_BYTES:
            del self._parcels[key]
            self._dispatch(parcel.items)
            parcel = None
        if parcel is None:
            parcel = self._parcels[key] = _Parcel()
            if self._flush is None:
                self._flush = self._loop.call_soon(self._flush_all)
        parcel.items.append(item)
        parcel.size += size
        if len(parcel.items) == self._max_messages:
            del self._parcels[key]
            self._dispatch(parcel.items)

    def close(self) -> None:
        """Forget what has not left yet."""
        self._parcels.clear()
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None

    def _flush_all(self) -> None:
        self._flush = None
        parcels, self._parcels = self._parcels, {}
        for parcel in parcels.values():
            self._dispatch(parcel.items)


def body_of(items: Sequence[Outgoing]) -> bytes:
    """The AMQP body: a lone message as an object, several as an array."""
    return items[0].body if len(items) == 1 else join_array([item.body for item in items])
