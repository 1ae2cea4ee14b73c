"""Broadcasts on the in-process bus: who listens to which exchange, and for what."""

import logging
from collections.abc import Callable

from holdfast_protocol.bus.messages import Announcement, Broadcast
from holdfast_protocol.bus.topics import topic_matches

_log = logging.getLogger("holdfast.bus")


class MemoryListener:
    """One listener; nothing of it is ever lost, so it is ready once."""

    def __init__(
        self,
        listeners: "MemoryListeners",
        patterns: tuple[str, ...],
        on_message: Callable[[Broadcast], None],
    ) -> None:
        self._listeners = listeners
        self._patterns = patterns
        self._on_message = on_message
        self._closed = False

    @property
    def connected(self) -> bool:
        return not self._closed

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        self._closed = True
        self._listeners.remove(self)

    def hears(self, routing_key: str) -> bool:
        return any(topic_matches(pattern, routing_key) for pattern in self._patterns)

    def tell_ready(self, on_ready: Callable[[], None]) -> None:
        try:
            on_ready()
        except Exception:  # noqa: BLE001 - handed to the log; listening goes on
            _log.exception("What follows a new listener failed")

    def hand_over(self, broadcast: Broadcast) -> None:
        if self._closed:
            return
        try:
            self._on_message(broadcast)
        except Exception:  # noqa: BLE001 - handed to the log
            # A listener's defect must not become the announcer's.
            _log.exception("A listener to %s failed", broadcast.routing_key)


class MemoryListeners:
    """The listeners of one exchange."""

    def __init__(self) -> None:
        self._listeners: list[MemoryListener] = []

    def add(
        self, patterns: tuple[str, ...], on_message: Callable[[Broadcast], None]
    ) -> MemoryListener:
        listener = MemoryListener(self, patterns, on_message)
        self._listeners.append(listener)
        return listener

    def remove(self, listener: MemoryListener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def announce(self, announcement: Announcement) -> bool:
        """Hand it to all that hear it; whether there is any."""
        heard = [one for one in self._listeners if one.hears(announcement.routing_key)]
        if not heard:
            return False
        broadcast = Broadcast(announcement.routing_key, announcement.body, announcement.message_id)
        for listener in heard:
            listener.hand_over(broadcast)
        return True
