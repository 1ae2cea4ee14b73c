"""Identifiers are UUIDv7 (RFC 9562), strictly increasing within a process."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import time_machine

from holdfast_protocol.ids import Uuid7Generator, uuid7

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_an_identifier_is_a_uuid_of_version_7() -> None:
    parsed = UUID(uuid7())
    assert parsed.version == 7
    assert parsed.variant == RFC_4122


def test_its_text_is_the_canonical_one() -> None:
    text = uuid7()
    assert str(UUID(text)) == text


def test_its_first_48_bits_are_milliseconds() -> None:
    with time_machine.travel(NOON, tick=False):
        assert UUID(Uuid7Generator()()).int >> 80 == int(NOON.timestamp() * 1000)


def test_identifiers_rise_strictly() -> None:
    made = [uuid7() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_they_rise_while_the_clock_stands_still() -> None:
    generator = Uuid7Generator()
    with time_machine.travel(NOON, tick=False):
        made = [generator() for _ in range(5_000)]
    assert made == sorted(set(made))


def test_they_rise_while_the_clock_goes_back() -> None:
    generator = Uuid7Generator()
    with time_machine.travel(NOON, tick=False):
        before = generator()
    with time_machine.travel(NOON - timedelta(hours=1), tick=False):
        assert generator() > before


def test_they_rise_where_the_counter_of_a_millisecond_is_used_up() -> None:
    generator = Uuid7Generator()
    with time_machine.travel(NOON, tick=False):
        before = generator()
        generator._counter = 2**26 - 1
        last_of_the_millisecond = generator()
        assert before < last_of_the_millisecond < generator()


def test_threads_share_the_generator() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: uuid7(), range(4_000)))
    assert len(set(made)) == len(made)


def test_a_reseeded_generator_repeats_nothing() -> None:
    generator = Uuid7Generator()
    with time_machine.travel(NOON, tick=False):
        before = generator()
        generator.reseed()
        assert generator() != before
