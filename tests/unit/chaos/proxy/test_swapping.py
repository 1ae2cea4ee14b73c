"""A swapped pair's confirms are told under each other's numbers."""

import struct
from random import Random

import pytest

from tests.chaos.proxy.frames import ACK, METHOD, RETURN, Frame, Frames, Units, confirmed
from tests.chaos.proxy.swapping import Shuffle, Swaps

_SELECT = bytes([0, 85, 0, 10, 0])


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"


def _publish(key: bytes, body: bytes, *, mandatory: bool = False) -> bytes:
    method = bytes([0, 60, 0, 40, 0, 0, 0, len(key)]) + key + bytes([mandatory])
    header = struct.pack(">HHQH", 60, 0, len(body), 0)
    return _frame(1, method) + _frame(2, header) + (_frame(3, body) if body else b"")


def _ack(tag: int, *, multiple: bool = False) -> bytes:
    return _frame(METHOD, struct.pack(">HHQB", 60, 80, tag, multiple))


def _return(key: bytes, body: bytes) -> bytes:
    method = struct.pack(">HHHB", 60, 50, 312, 8) + b"NO_ROUTE" + bytes([0, len(key)]) + key
    header = struct.pack(">HHQH", 60, 0, len(body), 0)
    return _frame(1, method) + _frame(2, header) + (_frame(3, body) if body else b"")


def _passed(swaps: Swaps, stream: bytes) -> bytes:
    frames, units = Frames(), Units()
    return b"".join(
        sent.raw
        for frame in frames.feed(stream)
        for sent, _ in swaps.asked(frame, units.place(frame))
    )


def _heard(swaps: Swaps, stream: bytes) -> list[Frame]:
    frames, units = Frames(), Units()
    return [
        told
        for frame in frames.feed(stream)
        for told, _ in swaps.answered(frame, units.place(frame))
    ]


def _told(swaps: Swaps, *acks: tuple[int, bool]) -> list[tuple[int, bool]]:
    stream = b"".join(_ack(tag, multiple=multiple) for tag, multiple in acks)
    return [confirmed(frame) for frame in _heard(swaps, stream)]


@pytest.fixture
def swaps() -> Swaps:
    """After four publishes of which each second one went first: 2 1 4 3."""
    swaps = Swaps(Shuffle(Random(1), share=1))
    one, two, three, four = (_publish(b"%d" % n, b"body") for n in range(1, 5))
    select = _frame(1, _SELECT)
    assert _passed(swaps, select + one + two + three + four) == select + two + one + four + three
    return swaps


def test_single_confirms_change_places(swaps: Swaps) -> None:
    singles = [(tag, False) for tag in (1, 2, 4, 3, 5)]
    assert _told(swaps, *singles) == [(tag, False) for tag in (2, 1, 3, 4, 5)]


def test_a_confirm_of_several_that_ends_within_a_pair_names_the_one_that_arrived(
    swaps: Swaps,
) -> None:
    assert _told(swaps, (3, True), (4, True)) == [(2, True), (4, False), (4, True)]


def test_a_confirm_of_several_that_ends_within_the_first_pair(swaps: Swaps) -> None:
    assert _told(swaps, (1, True), (2, False)) == [(2, False), (1, False)]


def test_a_confirm_of_several_whole_pairs_stays_as_it_is(swaps: Swaps) -> None:
    assert _told(swaps, (4, True), (5, False)) == [(4, True), (5, False)]


def _summary(frames: list[Frame]) -> list[str]:
    """Acks by their tags, returns by their keys; bodies are left out."""
    told = []
    for frame in frames:
        if frame.method == ACK:
            tag, multiple = confirmed(frame)
            told.append(f"ack {tag}{'…' if multiple else ''}")
        elif frame.method == RETURN:
            told.append(f"return {frame.payload[-1:].decode()}")
    return told


def test_returns_come_in_the_order_of_the_client_and_before_their_confirms(swaps: Swaps) -> None:
    stream = (
        _return(b"2", b"body") + _ack(1) + _return(b"1", b"body") + _ack(2)
        + _return(b"4", b"body") + _ack(3) + _return(b"3", b"body") + _ack(4)
    )  # fmt: skip
    assert _summary(_heard(swaps, stream)) == [
        "return 1", "ack 1", "return 2", "ack 2", "return 3", "ack 3", "return 4", "ack 4",
    ]  # fmt: skip


def test_a_return_of_the_overtaking_one_waits_for_the_confirm_of_the_other(swaps: Swaps) -> None:
    stream = _return(b"2", b"body") + _ack(1) + _return(b"4", b"body") + _ack(3)
    assert _heard(swaps, stream) == []
    assert _summary(_heard(swaps, _ack(4, multiple=True))) == [
        "return 2", "ack 2", "return 4", "ack 4", "ack 4…",
    ]  # fmt: skip


def test_a_return_of_the_other_one_changes_nothing(swaps: Swaps) -> None:
    stream = _ack(1) + _return(b"1", b"body") + _ack(2)
    assert _summary(_heard(swaps, stream)) == ["ack 2", "return 1", "ack 1"]


def test_large_bodies_keep_their_order() -> None:
    swaps = Swaps(Shuffle(Random(1), share=1))
    large, small = _publish(b"key", bytes(70_000)), _publish(b"key", b"")
    assert _passed(swaps, large + small).startswith(large)
