"""What can be said of the Redis store without a server: addresses, bounds, errors."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions

from holdfast_backends.encoding import index_value, record_key
from holdfast_backends.errors import StorageError, UnavailableError
from holdfast_backends.redis_store.durability import Examined
from holdfast_backends.redis_store.failures import translate, translated
from holdfast_backends.redis_store.layout import (
    index_bound,
    index_member,
    pack_event,
    pack_head,
    pack_identity,
    pack_reply,
    pack_row,
    unpack_event,
    unpack_head,
    unpack_reply,
    unpack_row,
)
from holdfast_backends.store import EventRow, Head, IndexSlot, Row, StoredReply

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    st.sampled_from(["x" * 510, "x" * 511, "x" * 600, "\x01" * 600, [], {}]),
)
ids = st.one_of(
    st.integers(1, 2**63 - 1),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=4
    ),
)
entries = st.tuples(scalars.map(index_value), ids.map(record_key))
bounds = st.one_of(
    scalars.map(index_value),
    st.tuples(scalars.map(index_value), st.binary(min_size=1, max_size=3)).map(b"".join),
    st.tuples(scalars.map(index_value), st.integers(0, 12)).map(lambda cut: cut[0][: cut[1]]),
    st.binary(max_size=4),
)


@given(entries, entries)
def test_entries_order_by_value_then_key(
    one: tuple[bytes, bytes], other: tuple[bytes, bytes]
) -> None:
    assert (index_member(*one) < index_member(*other)) == (one < other)


@given(entries, bounds)
def test_a_bound_parts_entries_as_it_parts_values(entry: tuple[bytes, bytes], bound: bytes) -> None:
    assert (index_member(*entry) >= index_bound(bound)) == (entry[0] >= bound)


@given(
    st.integers(0, 2**63),
    st.one_of(st.none(), st.binary(max_size=20)),
    st.integers(0, 2**53),
    st.one_of(st.none(), st.integers(0, 2**53)),
)
def test_a_row_is_what_it_was(
    version: int, document: bytes | None, at: int, expires_at: int | None
) -> None:
    row = Row(b"k", version, document, at, at + 1, expires_at)
    assert unpack_row(b"k", pack_row(row)) == row


@pytest.mark.parametrize("sequence", [0, 1, 2**53 - 1])
@pytest.mark.parametrize("next_id", [1, 2, 2**53 + 1, 2**63])
def test_a_head_is_what_it_was(next_id: int, sequence: int) -> None:
    slots = (IndexSlot(0, ("a", "b"), True), IndexSlot(15, ("ä",), False))
    head = Head(next_id, slots, sequence)
    assert unpack_head(pack_head(head)) == head


def test_a_head_of_the_former_layout_has_seen_no_changes() -> None:
    head = Head(8, (IndexSlot(0, ("a",), True, 5),))
    assert unpack_head(b'{"last":7,"slots":[[0,["a"],true,5]]}') == head


names = st.one_of(st.none(), st.just(""), st.text(max_size=4), st.just("𝄞" * 255))


@given(
    st.tuples(st.integers(1, 2**53 - 1), st.integers(1, 3), st.integers(1, 2**63 - 1)),
    st.tuples(st.binary(max_size=20), st.binary(max_size=20)),
    st.tuples(names, names),
)
def test_an_event_is_what_it_was(
    facts: tuple[int, int, int], texts: tuple[bytes, bytes], who: tuple[str | None, str | None]
) -> None:
    sequence, kind, version = facts
    event = EventRow(sequence, kind, texts[0], version, texts[1], -5, *who)
    assert unpack_event(pack_event(event)) == event


@given(st.binary(max_size=64), st.binary(max_size=64), st.integers(0, 2**53))
def test_a_reply_is_what_it_was(digest: bytes, outcome: bytes, at: int) -> None:
    reply = StoredReply(digest, outcome, at)
    assert unpack_reply(pack_reply(reply)) == reply


@given(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))
def test_identities_never_collide(a: str, b: str, c: str, d: str) -> None:
    assert (pack_identity((a, b)) == pack_identity((c, d))) == ((a, b) == (c, d))


# -- errors ------------------------------------------------------------------------------------


def _driver_errors() -> list[type[Exception]]:
    found = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass)]
    return [kind for kind in found if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", _driver_errors(), ids=lambda kind: str(kind.__name__))
def test_every_error_of_the_driver_is_translated(kind: type[Exception]) -> None:
    text = "1 10.0.0.7:6379"  # redirections read their text
    with pytest.raises(StorageError) as caught, translated():
        raise kind(text)
    assert "10.0.0.7" not in caught.value.message


@pytest.mark.parametrize(
    "kind",
    [
        exceptions.BusyLoadingError,
        exceptions.ClusterDownError,
        exceptions.ConnectionError,
        exceptions.InvalidResponse,
        exceptions.MasterDownError,
        exceptions.MaxConnectionsError,
        exceptions.ReadOnlyError,
        exceptions.TimeoutError,
        exceptions.TryAgainError,
        ConnectionResetError,
        TimeoutError,
    ],
)
def test_what_passes_by_waiting_is_unavailable(kind: type[Exception]) -> None:
    assert isinstance(translate(kind("x")), UnavailableError)


@pytest.mark.parametrize(
    "kind",
    [
        exceptions.AuthenticationError,
        exceptions.ClusterCrossSlotError,
        exceptions.DataError,
        exceptions.NoPermissionError,
        exceptions.OutOfMemoryError,
        exceptions.ResponseError,
    ],
)
def test_what_does_not_pass_is_a_plain_storage_error(kind: type[Exception]) -> None:
    assert type(translate(kind("x"))) is StorageError


@pytest.mark.parametrize(
    ("text", "available"),
    [
        ("BUSY Redis is busy running a script.", False),
        ("MISCONF Redis is configured to save RDB snapshots, but it can't", False),
        ("MOVED 3999 10.0.0.7:6379", False),
        ("ASK 3999 10.0.0.7:6379", False),
        ("NOREPLICAS Not enough good replicas to write.", False),
        ("Error running script (call to f_00): @user_script:4: -READONLY You can't write", False),
        ("Error running script (call to f_00): @user_script:4: -OOM command not allowed", True),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", True),
        ("value is not an integer", True),
    ],
)
def test_errors_without_a_class_are_told_by_their_code(text: str, available: bool) -> None:
    error = translate(exceptions.ResponseError(text))
    assert isinstance(error, UnavailableError) is not available


def test_the_drivers_error_stays_the_cause() -> None:
    cause = exceptions.ConnectionError("Error 111 connecting to 10.0.0.7:6379")
    with pytest.raises(UnavailableError) as caught, translated():
        raise cause
    assert caught.value.__cause__ is cause


def test_old_servers_are_not_supported() -> None:
    def supports(*version: int) -> bool:
        return Examined((version[0], version[1]), True, ()).is_supported

    assert not supports(6, 0)
    assert supports(6, 2)
    assert supports(8, 0)
