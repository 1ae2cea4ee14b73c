"""What the broker writes into the headers of a message that it gives up: `x-death`.

A sender may have written it before, in any shape, so nothing in it is taken for granted.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from holdfast_protocol.bus.deadletters import Death

_HEADER = "x-death"
_MAX_CHARACTERS = 255


def death_from(headers: Mapping[str, object], namespace: str) -> Death | None:
    """The latest death, or None when the broker wrote none. Never raises."""
    entries = headers.get(_HEADER)
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        return None
    latest = entries[0]
    reason, queue, at = (latest.get(key) for key in ("reason", "queue", "time"))
    if not isinstance(reason, str) or not isinstance(queue, str):
        return None
    prefix = f"{namespace}.agent."
    return Death(
        reason=reason[:_MAX_CHARACTERS],
        agent=queue.removeprefix(prefix)[:_MAX_CHARACTERS] if queue.startswith(prefix) else "",
        at=_utc(at) if isinstance(at, datetime) else None,
    )


def _utc(at: datetime) -> datetime | None:
    try:
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError:
        return None
