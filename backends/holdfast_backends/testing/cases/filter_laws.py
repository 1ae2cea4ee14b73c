"""Laws that hold for every filter and every document, tried on many of both."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_backends.operations import Delete
from holdfast_backends.testing.harness import AnyBackend, find, finding, ids_of, matching, save_all
from holdfast_backends.values import JsonObject, JsonValue, RecordId

SCALARS: list[JsonValue] = [None, False, True, 0, 1, 1.0, -0.0, 2**53 + 1, "", "a", "ab", "\uffff"]
PATHS = ["a", "b", "a.b", "id", "c"]

scalars = st.sampled_from(SCALARS)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=4,
)
documents: st.SearchStrategy[JsonObject] = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), values, max_size=3
)
comparable = st.sampled_from([value for value in SCALARS if type(value) in (int, float, str)])
operators = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne", "$contains"]), values),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), comparable),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(values, max_size=3)),
    st.tuples(st.just("$exists"), st.booleans()),
    st.tuples(st.just("$prefix"), st.sampled_from(["", "a", "ab"])),
)
conditions: st.SearchStrategy[Any] = st.lists(operators, min_size=1, max_size=2).map(dict)
leaves: st.SearchStrategy[JsonObject] = st.dictionaries(
    st.sampled_from(PATHS), conditions | values, max_size=2
)
filters: st.SearchStrategy[JsonObject] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or"]), st.lists(inner, max_size=3)),
        st.tuples(st.just("$not"), inner),
    ).map(lambda pair: {pair[0]: pair[1]}),
    max_leaves=4,
)

many = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def fill(backend: AnyBackend, corpus: list[JsonObject]) -> set[RecordId]:
    """Replace what the backend holds by these documents."""
    old = ids_of(await find(backend, finding()))
    await backend.execute([Delete(record_id) for record_id in old])
    return {saved.record.id for saved in await save_all(backend, corpus)}


@pytest.mark.asyncio(loop_scope="session")
class TestLawsOfFilters:
    @many
    @given(corpus=st.lists(documents, min_size=1, max_size=12), wanted=filters)
    async def test_every_document_matches_a_filter_or_its_negation(
        self, backend: AnyBackend, corpus: list[JsonObject], wanted: JsonObject
    ) -> None:
        everything = await fill(backend, corpus)
        inside = await matching(backend, wanted)
        outside = await matching(backend, {"$not": wanted})
        assert inside | outside == everything
        assert inside & outside == set()

    @many
    @given(
        corpus=st.lists(documents, min_size=1, max_size=12),
        path=st.sampled_from(PATHS),
        condition=conditions,
    )
    async def test_a_negation_at_the_path_is_one_of_the_whole(
        self, backend: AnyBackend, corpus: list[JsonObject], path: str, condition: JsonObject
    ) -> None:
        await fill(backend, corpus)
        at_the_path = await matching(backend, {path: {"$not": condition}})
        assert at_the_path == await matching(backend, {"$not": {path: condition}})

    @many
    @given(corpus=st.lists(documents, min_size=1, max_size=12), one=filters, other=filters)
    async def test_and_is_intersection_and_or_is_union(
        self, backend: AnyBackend, corpus: list[JsonObject], one: JsonObject, other: JsonObject
    ) -> None:
        await fill(backend, corpus)
        left, right = await matching(backend, one), await matching(backend, other)
        assert await matching(backend, {"$and": [one, other]}) == left & right
        assert await matching(backend, {"$or": [one, other]}) == left | right

    @many
    @given(
        corpus=st.lists(documents, min_size=1, max_size=12),
        path=st.sampled_from(PATHS),
        operands=st.lists(values, max_size=3),
    )
    async def test_in_is_a_union_of_equalities(
        self, backend: AnyBackend, corpus: list[JsonObject], path: str, operands: list[JsonValue]
    ) -> None:
        everything = await fill(backend, corpus)
        equal: set[RecordId] = set()
        for operand in operands:
            equal |= await matching(backend, {path: {"$eq": operand}})
        assert await matching(backend, {path: {"$in": operands}}) == equal
        assert await matching(backend, {path: {"$nin": operands}}) == everything - equal

    @many
    @given(document=documents)
    async def test_a_document_matches_each_of_its_own_values(
        self, backend: AnyBackend, document: JsonObject
    ) -> None:
        (record_id,) = await fill(backend, [document])
        for path, value in document.items():
            assert await matching(backend, {path: {"$eq": value}}) == {record_id}
