"""Which messages their senders do not want any more. Source: the wire contract, section 10."""

from collections import OrderedDict
from time import monotonic
from typing import Final

from holdfast_protocol.control import Cancel
from holdfast_protocol.messages import AgentMessage

_MAX_HELD: Final = 10_000
_HELD_SECONDS: Final = 15 * 60.0
_ANONYMOUS: Final = "anonymous"


class Cancellations:
    """The newest 10,000 cancellations of the last 15 minutes: a message may come after its own.

    Who forgets one does no harm: the message is executed, and its sender gets the answer.
    """

    def __init__(self) -> None:
        self._since: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._since)

    def add(self, cancel: Cancel) -> None:
        """The sender does not want this message any more."""
        now = monotonic()
        self._since[(cancel.sender or _ANONYMOUS, cancel.message_id)] = now
        while len(self._since) > _MAX_HELD or self._oldest() < now - _HELD_SECONDS:
            self._since.popitem(last=False)

    def holds(self, message: AgentMessage) -> bool:
        """Whether this message was cancelled."""
        since = self._since.get((message.sender or _ANONYMOUS, message.id))
        return since is not None and since >= monotonic() - _HELD_SECONDS

    def _oldest(self) -> float:
        return next(iter(self._since.values()))
