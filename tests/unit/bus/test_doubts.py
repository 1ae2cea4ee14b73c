"""When a channel that rejects is replaced."""

import pytest

from holdfast_protocol.bus.rabbitmq.doubts import Doubts

ROUTE, OTHER = "holdfast.messages/storage", "holdfast.messages/caching"


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def replaced_after(doubts: Doubts, clock: Clock, route: str = ROUTE) -> float | None:
    """Seconds of rejections until the channel is replaced; None for not within two minutes."""
    began = clock.now
    while clock.now < began + 120:
        if doubts.rejected(route):
            doubts.begin()
            return clock.now - began
        clock.now += 0.25
    return None


def test_a_channel_on_which_a_queue_took_nothing_yet_is_replaced_soon(clock: Clock) -> None:
    assert replaced_after(Doubts(clock), clock) == 0.5


def test_a_queue_that_took_something_on_the_channel_is_full(clock: Clock) -> None:
    doubts = Doubts(clock)
    doubts.accepted(ROUTE)
    assert replaced_after(doubts, clock) is None
    assert replaced_after(doubts, clock, OTHER) == 0.5


def test_on_another_channel_all_is_doubtful_again(clock: Clock) -> None:
    doubts = Doubts(clock)
    doubts.accepted(ROUTE)
    doubts.begin()
    assert replaced_after(doubts, clock) == 0.5


def test_it_is_replaced_less_often_while_that_does_not_help(clock: Clock) -> None:
    doubts = Doubts(clock)
    waits = [replaced_after(doubts, clock) for _ in range(8)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    doubts.accepted(ROUTE)
    doubts.begin()
    assert replaced_after(doubts, clock) == 0.5


def test_what_other_queues_take_does_not_make_it_more_often(clock: Clock) -> None:
    doubts = Doubts(clock)
    waits = []
    for _ in range(8):
        doubts.accepted(OTHER)  # it takes everything, on each new channel
        waits.append(replaced_after(doubts, clock))
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
