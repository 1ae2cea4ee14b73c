"""Every store scans the same spans in the same order: that of bytes."""

import random
from collections.abc import Sequence

import pytest

from holdfast_backends.encoding import index_value, integer_key, record_key
from holdfast_backends.paths import lookup
from holdfast_backends.store import IndexSlot, Row, Span, Store
from holdfast_backends.values import JsonValue, RecordId, decode_document, encode_json
from tests.conformance.store_contract.words import OWNER, TASKS, keep, row

Place = tuple[bytes, bytes]

IDS: tuple[RecordId, ...] = (
    1,
    2,
    3,
    255,
    256,
    2**40,
    2**63 - 1,
    "A",
    "a",
    "a b",
    "aa",
    "b",
    "é",
    "𝄞",
)
SCALARS: list[JsonValue] = [None, False, True, -1.5, 0, 7, 7.0, 2**53 + 1, 2.0**53]
TEXTS: list[JsonValue] = ["", "Anna", "anna", "anna ", "émile", "z", "x" * 600, "x" * 600 + "y"]
VALUES: list[JsonValue] = [*SCALARS, *TEXTS, "\U0010ffff", [1], {"a": 1}, {}]
EDGES = (b"", b"\x00", b"\x03", b"\x03anna\x00", b"\x03b", b"\xff")


def _rows() -> list[Row]:
    """Records of all kinds of ids and owners; some have none, and some are tombstones."""
    rows = []
    for number in range(200):
        record_id = IDS[number] if number < len(IDS) else number + 1_000
        document: dict[str, JsonValue] = {"id": record_id}
        if number % 7:
            document["owner"] = VALUES[number % len(VALUES)]
        text = None if number % 13 == 5 else encode_json(document)
        rows.append(Row(record_key(record_id), 1, text, 1, 1))
    return rows


def _place(kept: Row, span: Span) -> Place:
    """Where a row stands in the order of a span."""
    if span.slot is None or kept.document is None:
        return b"", kept.key
    return index_value(lookup(decode_document(kept.document), OWNER.path)), kept.key


def _expected(rows: Sequence[Row], span: Span, limit: int) -> list[Row]:
    """The specification of a scan."""
    live = {_place(kept, span): kept for kept in rows if kept.document is not None}
    places = sorted(live, reverse=span.descending)
    return [live[place] for place in places if _is_inside(place, span)][:limit]


def _is_inside(place: Place, span: Span) -> bool:
    if span.low is not None and place[0] < span.low:
        return False
    if span.high is not None and place[0] >= span.high:
        return False
    if span.after is None:
        return True
    return place < span.after if span.descending else place > span.after


def _spans(rows: Sequence[Row], slot: int | None, count: int) -> list[Span]:
    chance = random.Random(f"spans of {slot}")
    places = [_place(kept, Span(TASKS, slot)) for kept in rows if kept.document is not None]
    spans = [Span(TASKS, slot), Span(TASKS, slot, descending=True)]
    for _ in range(count):
        after = chance.choice([None, chance.choice(places), _beside(chance, chance.choice(places))])
        low, high = (
            chance.choice([None, None, chance.choice(EDGES), chance.choice(places)[0]])
            if slot is not None
            else None
            for _side in range(2)
        )
        spans.append(Span(TASKS, slot, low, high, after, chance.random() < 0.5))
    return spans


def _beside(chance: random.Random, place: Place) -> Place:
    """A place where no row stands: before or behind all keys of a value, or of a deleted row."""
    return place[0], chance.choice([b"", b"\xff", record_key("zz"), integer_key(77)])


async def _check(store: Store, rows: Sequence[Row], spans: Sequence[Span]) -> None:
    chance = random.Random("limits")
    async with store.read() as snapshot:
        for span in spans:
            limit = chance.choice([1, 2, 10, 1_000])
            found = await snapshot.scan(span, limit)
            assert list(found) == _expected(rows, span, limit), (span, limit)


async def test_spans_in_the_order_of_keys(store: Store) -> None:
    rows = _rows()
    await keep(store, *rows)
    await keep(store, row(5, {"elsewhere": True}), collection="notes")
    await _check(store, rows, _spans(rows, None, 150))


async def test_spans_in_the_order_of_an_index(indexing_store: Store) -> None:
    rows = _rows()
    await keep(indexing_store, *rows, slots=[OWNER])
    await keep(indexing_store, row(5, {"owner": "x"}), collection="notes", slots=[OWNER])
    await _check(indexing_store, rows, _spans(rows, 0, 300))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 7])
async def test_pages_are_the_whole(indexing_store: Store, descending: bool, limit: int) -> None:
    rows = _rows()
    await keep(indexing_store, *rows, slots=[OWNER])
    for slot in (None, 0):
        span = Span(TASKS, slot, descending=descending)
        whole = _expected(rows, span, len(rows))
        seen: list[Row] = []
        async with indexing_store.read() as snapshot:
            while page := await snapshot.scan(span, limit):
                seen += page
                span = Span(TASKS, slot, after=_place(page[-1], span), descending=descending)
        assert seen == whole


async def test_an_index_follows_its_rows(indexing_store: Store) -> None:
    await keep(indexing_store, row(1, {"owner": "a"}), row(2, {"owner": "b"}), slots=[OWNER])
    changed = [row(1, {"owner": "z"}, version=2), row(2, version=2), row(3, {"owner": "m"})]
    await keep(indexing_store, *changed, slots=[OWNER])
    async with indexing_store.read() as snapshot:
        found = await snapshot.scan(Span(TASKS, 0), 10)
    assert list(found) == [changed[2], changed[0]]


async def test_sixteen_indexes(indexing_store: Store) -> None:
    slots = [IndexSlot(number, (f"p{number}",), ready=True) for number in range(16)]
    rows = [
        row(number, {f"p{slot}": (number * (slot + 3)) % 17 for slot in range(16)})
        for number in range(1, 17)
    ]
    await keep(indexing_store, *rows, slots=slots)
    async with indexing_store.read() as snapshot:
        for slot in range(16):
            found = await snapshot.scan(Span(TASKS, slot), 100)
            in_order = sorted(rows, key=lambda kept: ((kept.key[-1] * (slot + 3)) % 17, kept.key))
            assert list(found) == in_order


async def test_a_slot_used_for_another_path_is_built_anew(indexing_store: Store) -> None:
    rows = [row(1, {"owner": "b", "age": 1}), row(2, {"owner": "a", "age": 2})]
    await keep(indexing_store, *rows, slots=[OWNER])
    await keep(indexing_store, *rows, slots=[IndexSlot(0, ("age",), ready=False)])
    async with indexing_store.read() as snapshot:
        assert list(await snapshot.scan(Span(TASKS, 0), 10)) == rows


async def test_an_index_declared_later_is_built_from_unchanged_rows(indexing_store: Store) -> None:
    rows = [row(1, {"owner": "b"}), row(2, {"owner": "a"})]
    await keep(indexing_store, *rows)
    await keep(indexing_store, *rows, slots=[IndexSlot(0, ("owner",), ready=False)])
    async with indexing_store.read() as snapshot:
        assert list(await snapshot.scan(Span(TASKS, 0), 10)) == rows[::-1]
    assert (await indexing_store.heads()).keys() == {TASKS}
