"""Times on the wire: strict RFC 3339 in, one canonical form out.

Accepted: upper-case `T`, `Z` or `±hh:mm`, up to nine fraction digits (cut to microseconds),
no second 60, real dates only. Source: the wire contract, section 10 "Checks".
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_RFC3339: Final = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
# Filled in with `%`, which takes half of an f-string's time.
_CLOCK: Final = "%sT%02d:%02d:%02d.%06dZ"
_MOMENT: Final = "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ"
_MICROS_PER_SECOND: Final = 1_000_000
_SECONDS_PER_DAY: Final = 86_400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


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
        return moment.isoformat("T", "microseconds")
    return _MOMENT % (
        utc.year,
        utc.month,
        utc.day,
        utc.hour,
        utc.minute,
        utc.second,
        utc.microsecond,
    )


def format_micros(micros: int) -> str:
    """Whole microseconds since 1970-01-01T00:00:00Z, in the form of `format_time`.

    Raises:
        OverflowError: outside the years 1 to 9999.
    """
    seconds, fraction = divmod(micros, _MICROS_PER_SECOND)
    days, second = divmod(seconds, _SECONDS_PER_DAY)
    hour, rest = divmod(second, 3600)
    return _CLOCK % (_date(days), hour, rest // 60, rest % 60, fraction)


@lru_cache(maxsize=1024)
def _date(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970-01-01T00:00:00Z of an aware datetime; exact."""
    return (moment - _EPOCH) // _MICROSECOND


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
