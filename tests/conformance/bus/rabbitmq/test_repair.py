"""Whatever bytes stand in a frame, after the repair the driver's decoder reads it."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.header import ContentHeader

from holdfast_protocol.bus.rabbitmq.repair import FRAME_HEADER, FRAME_METHOD, readable
from tests.conformance.bus.rabbitmq.tools import short, table

_texts = st.binary(max_size=255).map(short)
_values = st.one_of(
    st.binary(min_size=8, max_size=8).map(lambda raw: b"T" + raw),
    st.binary(max_size=50).map(lambda raw: b"S" + struct.pack(">I", len(raw)) + raw),
    st.binary(max_size=50).map(lambda raw: b"x" + struct.pack(">I", len(raw)) + raw),
    # The content of a table or an array: anything at all.
    st.binary(max_size=50).map(lambda raw: b"F" + struct.pack(">I", len(raw)) + raw),
    st.binary(max_size=50).map(lambda raw: b"A" + struct.pack(">I", len(raw)) + raw),
    st.binary(min_size=5, max_size=5).map(lambda raw: b"D" + raw),
    st.binary(min_size=8, max_size=8).map(lambda raw: b"d" + raw),
    st.binary(min_size=8, max_size=8).map(lambda raw: b"l" + raw),
    st.just(b"V"),
    st.binary(max_size=9),
)
_tables = st.lists(st.tuples(_texts, _values).map(b"".join), max_size=5).map(
    lambda entries: table(*entries)
)
_octets = st.binary(min_size=1, max_size=1)
_stamps = st.binary(min_size=8, max_size=8)
# Content type and encoding, headers, mode, priority, three texts, id, time, four texts.
_PROPERTIES = [_texts, _texts, _tables, _octets, _octets, *[_texts] * 4, _stamps, *[_texts] * 4]


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """The payload of a content header with any of the properties."""
    flags, properties = 0, b""
    for position, strategy in enumerate(_PROPERTIES):
        if draw(st.booleans()):
            flags |= 0x8000 >> position
            properties += draw(strategy)
    return struct.pack(">HHQH", 60, 0, draw(st.integers(0, 2**63)), flags) + properties


@given(headers())
def test_every_content_header_is_readable_and_keeps_its_length(payload: bytes) -> None:
    repaired = readable(FRAME_HEADER, payload)
    assert len(repaired) == len(payload)
    header = ContentHeader()
    header.unmarshal(repaired)
    assert header.body_size == int.from_bytes(payload[4:12], "big")


@given(headers())
def test_a_readable_content_header_is_left_as_it_is(payload: bytes) -> None:
    once = readable(FRAME_HEADER, payload)
    assert readable(FRAME_HEADER, once) == once


@given(
    st.text(max_size=20).filter(lambda text: len(text.encode()) < 256),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=255),
    st.binary(max_size=255),
)
def test_every_delivery_is_readable(
    consumer_tag: str, delivery_tag: int, exchange: bytes, routing_key: bytes
) -> None:
    payload = (
        b"\x00\x3c\x00\x3c"
        + short(consumer_tag.encode())
        + struct.pack(">QB", delivery_tag, 1)
        + short(exchange)
        + short(routing_key)
    )
    repaired = readable(FRAME_METHOD, payload)
    assert len(repaired) == len(payload)
    frame = commands.Basic.Deliver()
    frame.unmarshal(repaired[4:])
    assert frame.redelivered is True
    assert len((frame.routing_key or "").encode()) == len(routing_key)


def test_other_frames_pass_untouched() -> None:
    for payload in (b"\x00\x0a\x00\x3c\x03\xff\xff\xff", b"", b"\x00\x3c"):
        assert readable(FRAME_METHOD, payload) is payload
