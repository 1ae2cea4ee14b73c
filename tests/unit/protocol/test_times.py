"""Times on the wire are strict RFC 3339 (wire contract, section 10 "Checks")."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_protocol.times import format_micros, format_time, parse_time, to_micros
from tests.unit.protocol.json_texts import LAW

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# A day from either end of the calendar, every moment has a UTC form.
MOMENTS = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis wants naive bounds and adds the offset
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=OFFSETS,
)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.5Z", datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)),
        ("2026-01-02T03:04:05.678901999Z", datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-01T21:34:05-05:30", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-02-29T00:00:00-00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_rfc_3339_time_is_an_aware_moment(text: str, moment: datetime) -> None:
    parsed = parse_time(text)
    assert parsed == moment
    assert parsed.utcoffset() is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-01-02t03:04:05Z",
        "2026-01-02T03:04:05z",
        "2026-01-02T03:04Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05,5Z",
        "2026-01-02T03:04:05.1234567890Z",
        "2026-01-02T03:04:60Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:60:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-W01-1T00:00:00Z",
        "20260102T030405Z",
        "2026-01-02T03:04:05+0200",
        "2026-01-02T03:04:05+02",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+02:60",
        "2026-01-02T03:04:05+02:00:00",
        "2026-01-02T03:04:05Z\n",
        " 2026-01-02T03:04:05Z",
        "２０２６-01-02T03:04:05Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


@LAW
@given(MOMENTS)
def test_the_parser_agrees_with_the_standard_library(moment: datetime) -> None:
    assert parse_time(moment.isoformat()) == datetime.fromisoformat(moment.isoformat())


@LAW
@given(MOMENTS)
def test_a_formatted_time_is_the_same_moment_in_utc(moment: datetime) -> None:
    text = format_time(moment)
    assert len(text) == len("2026-01-02T03:04:05.678901Z")
    assert text.endswith("Z")
    assert parse_time(text) == moment


@LAW
@given(MOMENTS)
def test_microseconds_since_1970_have_the_same_form(moment: datetime) -> None:
    assert format_micros(to_micros(moment)) == format_time(moment)


def test_the_canonical_form() -> None:
    assert format_time(parse_time("2026-01-02T04:04:05.6789+01:00")) == (
        "2026-01-02T03:04:05.678900Z"
    )


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_without_a_utc_form_keeps_its_offset(text: str) -> None:
    assert parse_time(format_time(parse_time(text))) == parse_time(text)
