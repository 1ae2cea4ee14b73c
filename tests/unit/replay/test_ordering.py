"""The order of execution is restored from where each line says that it stands."""

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from holdfast_agents.replay import BadLine, LogEntry, in_order
from holdfast_agents.replay.ordering import Memory, Ordering
from holdfast_protocol.logs import LoggedExchange
from holdfast_protocol.messages import AgentMessage, AgentResponse

Place = tuple[int, int]
_numbers = count(1)


def entry(
    name: str,
    order: JsonValue = None,
    *,
    action: str = "storage_save",
    response: AgentResponse | None = None,
    size: int = 100,
) -> LogEntry:
    """A line whose message has this id."""
    message = AgentMessage(action=action, id=name, sender="me")
    extra: dict[str, JsonValue] = {} if order is None else {"order": order}
    exchange = LoggedExchange(
        "storage", message, response or AgentResponse(status="success"), extra=extra
    )
    return LogEntry(next(_numbers), size, exchange)


def read(name: str, order: JsonValue) -> LogEntry:
    return entry(name, order, action="storage_get")


def names(entries: Iterable[LogEntry | BadLine]) -> list[str]:
    return [
        one.exchange.message.id if isinstance(one, LogEntry) else f"bad {one.number}"
        for one in entries
    ]


def ordered(*entries: LogEntry | BadLine, window: int = 10_000) -> list[str]:
    return names(in_order(entries, window))


# -- histories -----------------------------------------------------------------------------------


def test_changes_stand_at_their_sequence_and_reads_behind_them() -> None:
    assert ordered(
        read("r2", {"tasks": [2, 0]}),
        entry("c3", {"tasks": [3, 1]}),
        read("r0", {"tasks": [0, 0]}),
        entry("c2", {"tasks": [2, 1]}),
        entry("c1", {"tasks": [1, 1]}),
    ) == ["r0", "c1", "c2", "r2", "c3"]


def test_what_has_no_reason_to_move_stays_where_it_arrived() -> None:
    lines = [
        entry("b1", {"b": [1, 1]}),
        read("r", {"a": [0, 0]}),
        read("same", {"a": [0, 0]}),
        entry("a1", {"a": [1, 1]}),
    ]
    assert ordered(*lines) == names(lines)


def test_a_line_of_two_collections_waits_for_both() -> None:
    assert ordered(
        entry("both", {"a": [2, 1], "b": [1, 0]}),
        entry("a1", {"a": [1, 1]}),
        entry("b2", {"b": [2, 1]}),
        entry("b1", {"b": [1, 1]}),
    ) == ["a1", "b1", "both", "b2"]


def test_lines_without_a_place_keep_theirs_among_what_arrived() -> None:
    bad = BadLine(7, 10, "cut")
    assert ordered(entry("c2", {"a": [2, 1]}), entry("ping"), entry("c1", {"a": [1, 1]}), bad) == [
        "c1",
        "c2",
        "ping",
        "bad 7",
    ]


def test_a_log_without_places_waits_for_nothing() -> None:
    ordering = Ordering()
    ordering.add(entry("plain"))
    assert ordering.is_full


@st.composite
def histories(draw: st.DrawFn) -> list[LogEntry]:
    """A serial history of a few collections: changes, reads and batches over several."""
    reached = dict.fromkeys(("a", "b", "$locks"), 0)
    lines = []
    for number in range(draw(st.integers(1, 60))):
        order: dict[str, JsonValue] = {}
        for name in draw(st.lists(st.sampled_from(sorted(reached)), max_size=3, unique=True)):
            is_change = draw(st.booleans())
            reached[name] += draw(st.integers(1, 3)) if is_change else 0
            order[name] = [reached[name], int(is_change)]
        lines.append(entry(str(number), order))
    return lines


def assert_is_possible(lines: list[LogEntry | BadLine]) -> None:
    """No line stands behind one that must come after it."""
    latest: dict[str, Place] = {}
    for line in lines:
        assert isinstance(line, LogEntry)
        order = line.exchange.extra["order"]
        assert isinstance(order, dict)
        for name, place in order.items():
            assert isinstance(place, list)
            sequence, is_change = place
            assert isinstance(sequence, int)
            assert isinstance(is_change, int)
            key = (sequence, 1 - is_change)
            assert key >= latest.get(name, (0, 0))
            latest[name] = key


@given(histories(), st.randoms(use_true_random=False))
def test_any_arrival_within_the_window_comes_out_as_it_can_have_been(
    history: list[LogEntry], rng: random.Random
) -> None:
    arrived = list(history)
    rng.shuffle(arrived)
    found = list(in_order(arrived))
    assert sorted(names(found)) == sorted(names(history))
    assert_is_possible(found)


@given(histories(), st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_small_window_is_enough_for_small_delays(
    history: list[LogEntry], delay: int, rng: random.Random
) -> None:
    late = {line.number: place + rng.randint(0, delay) for place, line in enumerate(history)}
    arrived = sorted(history, key=lambda line: late[line.number])
    assert_is_possible(list(in_order(arrived, window=2 * delay)))


@given(histories(), st.randoms(use_true_random=False))
def test_putting_into_order_again_changes_nothing(
    history: list[LogEntry], rng: random.Random
) -> None:
    rng.shuffle(history)
    once = list(in_order(history))
    assert list(in_order(once)) == once


# -- bounds and nonsense -------------------------------------------------------------------------


def test_no_more_is_held_than_the_window() -> None:
    ordering = Ordering(window=3)
    for number in range(10, 0, -1):
        ordering.add(entry(str(number), {"a": [number, 1]}))
        while ordering.is_full:
            assert list(ordering.take())
        assert ordering.held <= 3


def test_no_more_is_held_than_the_bytes() -> None:
    lines = [entry(str(n), {"a": [n, 1]}, size=600) for n in (3, 2, 1)]
    found = in_order(lines, window_bytes=1_000)
    assert names(found) == ["2", "3", "1"]  # the last came too late


def test_a_circle_is_broken_up() -> None:
    lines = [
        entry("x", {"a": [1, 1], "b": [2, 1]}),
        entry("y", {"a": [2, 1], "b": [1, 1]}),
        entry("z", {"a": [3, 1]}),
    ]
    assert ordered(*lines) == ["y", "x", "z"]


_places = st.fixed_dictionaries(
    {}, optional={name: st.tuples(st.integers(0, 4), st.integers(0, 1)).map(list) for name in "abc"}
)


@given(st.lists(_places, max_size=30), st.integers(1, 10))
def test_whatever_the_places_are_each_line_comes_out_once(
    places: list[dict[str, JsonValue]], window: int
) -> None:
    lines = [entry(str(number), place) for number, place in enumerate(places)]
    assert sorted(ordered(*lines, window=window)) == sorted(names(lines))


@pytest.mark.parametrize(
    "order",
    [
        [],
        "a",
        7,
        {"a": 1},
        {"a": [1]},
        {"a": [1, 1, 1]},
        {"a": [True, 1]},
        {"a": [1, True]},
        {"a": [1.0, 1]},
        {"a": [-1, 1]},
        {"a": [1, 2]},
        {"a": ["1", 1]},
        {"a": [1, 1], "b": None},
    ],
)
def test_a_malformed_place_is_none(order: JsonValue) -> None:
    lines = [entry("c2", {"a": [2, 1]}), entry("odd", order), entry("c3", {"a": [3, 1]})]
    assert ordered(*lines) == ["c2", "odd", "c3"]


# -- stored answers ------------------------------------------------------------------------------


def stored(name: str, sequence: int, **fields: object) -> LogEntry:
    """A line that tells a stored answer."""
    meta = {"replayed": True, "sequence": sequence}
    response = AgentResponse.model_validate({"status": "success", "meta": meta, **fields})
    return entry(name, {"a": [sequence, 0]}, response=response)


def test_a_stored_answer_stands_for_its_change_where_nobody_else_tells_it() -> None:
    found = list(
        in_order(
            [
                read("r1", {"a": [1, 0]}),
                entry("c2", {"a": [2, 1]}),
                stored("lost", 1),
                stored("lost", 1),
            ]
        )
    )
    assert names(found) == ["lost", "r1", "lost", "c2"]
    first, last = found[0], found[2]
    assert isinstance(first, LogEntry)
    assert isinstance(last, LogEntry)
    assert first.stands_for_original
    assert first.exchange.response.meta == {"sequence": 1}
    assert first.exchange.extra["order"] == {"a": [1, 1]}
    assert not last.stands_for_original
    assert last.exchange.response.meta["replayed"] is True


def test_a_stored_answer_stands_behind_the_change_that_came_later() -> None:
    original = entry("m", {"a": [1, 1]})
    found = list(in_order([stored("m", 1), read("r1", {"a": [1, 0]}), original]))
    assert found[0] is original
    assert [one.stands_for_original for one in found if isinstance(one, LogEntry)] == [False] * 3


def test_a_stored_failure_that_stands_for_its_own_is_told_as_the_first() -> None:
    told = {"status": "error", "error": "no", "error_type": "conflict", "meta": {"replayed": True}}
    lost = stored("lost", 1)
    lost = replace(
        lost,
        exchange=replace(lost.exchange, response=AgentResponse.model_validate(told)),
    )
    found = list(in_order([entry("c2", {"a": [2, 1]}), lost, entry("c1", {"a": [1, 1]})]))
    assert names(found) == ["c1", "lost", "c2"]
    assert isinstance(found[1], LogEntry)
    assert found[1].exchange.response.meta == {}


def test_a_stored_answer_of_a_batch_stays_behind_its_original() -> None:
    original = entry("m", {"a": [5, 1], "b": [2, 0]}, action="storage_batch")
    response = AgentResponse(status="success", meta={"replayed": True})
    again = entry("m", {"a": [5, 0], "b": [2, 0]}, action="storage_batch", response=response)
    assert list(in_order([again, original])) == [original, again]


def test_events_and_positions_tell_their_own_places() -> None:
    events = entry(
        "events",
        action="storage_events",
        response=AgentResponse(status="success", result=[], meta={"last_sequence": 1}),
    )
    positions = entry(
        "positions",
        action="storage_positions",
        response=AgentResponse(status="success", result=[{"collection": "tasks", "sequence": 2}]),
    )
    changes = [entry(f"c{number}", {"tasks": [number, 1]}) for number in (1, 2, 3)]
    assert ordered(*reversed(changes), positions, events) == [
        "c1",
        "events",
        "c2",
        "positions",
        "c3",
    ]


def test_the_memory_forgets_the_oldest_half() -> None:
    memory = Memory(2)
    assert [memory.add(key) for key in (1, 2, 1, 3, 1, 4, 5, 1)] == [
        True,
        True,
        False,
        True,
        False,
        True,
        True,
        False,
    ]
