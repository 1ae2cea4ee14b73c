"""Plans: they may be slow, never wrong."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast_backends.encoding import MAX_INDEXED_BYTES, index_value, is_cut, record_key
from holdfast_backends.filters import parse_filter
from holdfast_backends.paths import lookup
from holdfast_backends.planner import Plan, plan_scan
from holdfast_backends.sorting import parse_sort, position_of
from holdfast_backends.store import IndexSlot, Row, Span
from holdfast_backends.values import JsonObject, JsonValue, encode_json

LONG = "x" * MAX_INDEXED_BYTES
SCALARS: st.SearchStrategy[JsonValue] = st.sampled_from(
    [None, False, True, 0, 1, -1, 1.0, 1.5, 2**63 - 1, "", "a", "ab", "b", LONG, LONG + "a"]
)
VALUES = SCALARS | st.sampled_from([[], [1], {}, {"k": 1}])
OPERANDS = SCALARS.filter(lambda v: v is not None and not isinstance(v, bool))
CONDITIONS: st.SearchStrategy[JsonValue] = st.one_of(
    VALUES,
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), OPERANDS, min_size=1),
    st.fixed_dictionaries({"$prefix": st.sampled_from(["", "a", "ab", LONG, LONG + "a"])}),
    st.fixed_dictionaries({"$ne": VALUES}),
    st.fixed_dictionaries({"$in": st.lists(SCALARS, max_size=3)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
PATHS = st.sampled_from(["a", "b", "id"])
SIMPLE: st.SearchStrategy[JsonObject] = st.dictionaries(PATHS, CONDITIONS, max_size=3)


def every(parts: list[JsonObject]) -> JsonObject:
    return {"$and": [*parts]}


def some(parts: list[JsonObject]) -> JsonObject:
    return {"$or": [*parts]}


def unless(part: JsonObject) -> JsonObject:
    return {"$not": part}


def combined(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    parts = st.lists(inner, max_size=3)
    return parts.map(every) | parts.map(some) | inner.map(unless)


FILTERS: st.SearchStrategy[JsonObject] = st.recursive(SIMPLE, combined, max_leaves=4)
SORTS = st.lists(st.tuples(PATHS, st.sampled_from(["asc", "desc"])), max_size=2)
SLOTS = st.lists(st.sampled_from(["a", "b"]), unique=True).map(
    lambda paths: [IndexSlot(number, (path,), True) for number, path in enumerate(paths)]
)
DOCUMENTS = st.lists(st.dictionaries(st.sampled_from(["a", "b"]), VALUES), min_size=1, max_size=12)


def rows_of(documents: list[dict[str, JsonValue]]) -> list[tuple[Row, JsonObject]]:
    """Rows with the ids 1, 2, …"""
    numbered: list[JsonObject] = [
        {"id": number, **document} for number, document in enumerate(documents, 1)
    ]
    return [
        (Row(record_key(number), 1, encode_json(document), 0, 0), document)
        for number, document in enumerate(numbered, 1)
    ]


def place(plan: Plan, row: Row, document: JsonObject) -> tuple[bytes, bytes]:
    """Where a store keeps the row in the order of the plan's span."""
    if plan.slot is None:
        return b"", row.key
    return index_value(lookup(document, plan.slot.path)), row.key


def holds(span: Span, where: tuple[bytes, bytes]) -> bool:
    """Whether a store would find a place in a span."""
    above = span.low is None or where[0] >= span.low
    return above and (span.high is None or where[0] < span.high)


@given(FILTERS, SORTS, SLOTS, st.booleans(), DOCUMENTS)
def test_a_span_leaves_no_match_out(
    source: JsonObject,
    sort: list[tuple[str, str]],
    slots: list[IndexSlot],
    limited: bool,
    documents: list[dict[str, JsonValue]],
) -> None:
    where = parse_filter(source)
    plan = plan_scan("c", where, parse_sort(sort), slots, limited=limited)
    for row, document in rows_of(documents):
        if where.matches(document):
            assert holds(plan.span, place(plan, row, document))


@given(FILTERS, SORTS, SLOTS, st.booleans(), DOCUMENTS)
def test_a_span_that_covers_the_filter_holds_only_matches(
    source: JsonObject,
    sort: list[tuple[str, str]],
    slots: list[IndexSlot],
    limited: bool,
    documents: list[dict[str, JsonValue]],
) -> None:
    where = parse_filter(source)
    plan = plan_scan("c", where, parse_sort(sort), slots, limited=limited)
    if plan.covers:
        for row, document in rows_of(documents):
            assert holds(plan.span, place(plan, row, document)) == where.matches(document)


@given(FILTERS, SORTS, SLOTS, st.booleans(), DOCUMENTS)
def test_the_order_of_an_ordered_plan_is_that_of_the_query_but_for_cut_values(
    source: JsonObject,
    sort: list[tuple[str, str]],
    slots: list[IndexSlot],
    limited: bool,
    documents: list[dict[str, JsonValue]],
) -> None:
    keys = parse_sort(sort)
    plan = plan_scan("c", parse_filter(source), keys, slots, limited=limited)
    if not plan.ordered:
        return
    found = [
        (place(plan, row, document), position_of(row.key, document, keys))
        for row, document in rows_of(documents)
        if holds(plan.span, place(plan, row, document))
    ]
    found.sort(reverse=plan.span.descending)
    whole = [position for where, position in found if not is_cut(where[0])]
    assert whole == sorted(whole)


@given(SORTS, SLOTS, DOCUMENTS)
def test_a_single_plan_has_one_whole_value(
    sort: list[tuple[str, str]], slots: list[IndexSlot], documents: list[dict[str, JsonValue]]
) -> None:
    plan = plan_scan("c", parse_filter({"a": 1}), parse_sort(sort), slots)
    if plan.single:
        values = {
            place(plan, row, document)[0]
            for row, document in rows_of(documents)
            if holds(plan.span, place(plan, row, document))
        }
        assert len(values) <= 1
