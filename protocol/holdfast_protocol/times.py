"""Times on the wire: strict RFC 3339 in, one canonical form out.

Accepted: upper-case `T`, `Z` or `±hh:mm`, up to nine fraction digits (cut to microseconds),
no second 60, real dates only. Source: the wire contract, section 10 "Checks".
"""

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_MICROS_PER_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse_time(text: str) -> datetime:
    """The aware datetime of an RFC 3339 text.

    Raises:
        ValueError: the text is not of that form, or no real date.
    """
    if _RFC3339.fullmatch(text) is None:
        raise ValueError("not an RFC 3339 time")
    return datetime.fromisoformat(text)


def format_time(moment: datetime) -> str:
    """An aware datetime in UTC with microseconds, e.g. `2026-01-02T03:04:05.678901Z`.

    A moment whose UTC form lies outside the years 1 to 9999 keeps its own offset.
    """
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        return moment.isoformat(timespec="microseconds")
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"


def format_micros(micros: int) -> str:
    """Whole microseconds since 1970-01-01T00:00:00Z, in the form of `format_time`."""
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970-01-01T00:00:00Z of an aware datetime; exact."""
    return (moment - _EPOCH) // _MICROSECOND


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
