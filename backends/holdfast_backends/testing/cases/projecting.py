"""`fields`: only the named paths, nested as they were, and always the id."""

from typing import Any

import pytest
import pytest_asyncio

from holdfast_backends.testing.harness import AnyBackend, exactly, find, finding, refused, save
from holdfast_backends.values import JsonObject

DOCUMENT: JsonObject = {
    "id": 1,
    "title": "a",
    "null": None,
    "owner": {"name": "b", "age": 3, "address": {"city": "c", "zip": 1.0}},
    "tags": ["x", {"name": "y"}],
    "empty": {},
    "a.b": 1,
}

NO_PATHS = ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\x00"]
PROJECTIONS: dict[str, tuple[list[str], JsonObject]] = {
    "no path keeps only the id": ([], {}),
    "one path": (["title"], {"title": "a"}),
    "several paths": (["title", "tags"], {"title": "a", "tags": DOCUMENT["tags"]}),
    "the id need not be named": (["id"], {}),
    "a null is kept": (["null"], {"null": None}),
    "an empty object is kept": (["empty"], {"empty": {}}),
    "a whole object": (["owner"], {"owner": DOCUMENT["owner"]}),
    "a nested path stays nested": (["owner.name"], {"owner": {"name": "b"}}),
    "a deeper path": (["owner.address.zip"], {"owner": {"address": {"zip": 1.0}}}),
    "neighbours": (["owner.name", "owner.age"], {"owner": {"name": "b", "age": 3}}),
    "a path and what is below it": (["owner", "owner.name"], {"owner": DOCUMENT["owner"]}),
    "what is below a path and it": (["owner.name", "owner"], {"owner": DOCUMENT["owner"]}),
    "the same path twice": (["title", "title"], {"title": "a"}),
    "a missing path leaves no trace": (["missing"], {}),
    "a missing nested path leaves no trace": (["owner.missing"], {}),
    "a missing deep path leaves no trace": (["owner.address.missing", "x.y.z"], {}),
    "a path through a text leaves no trace": (["title.length"], {}),
    "a path below an empty object leaves no trace": (["empty.a"], {}),
    "a path into an array leaves no trace": (["tags.0", "tags.name"], {}),
    "a key with dots cannot be named": (["a.b"], {}),
}


@pytest.mark.asyncio(loop_scope="session")
class TestFields:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds one document."""
        await backend.save(DOCUMENT)
        return backend

    @pytest.mark.parametrize("rule", PROJECTIONS)
    async def test_what_is_kept(self, corpus: AnyBackend, rule: str) -> None:
        fields, kept = PROJECTIONS[rule]
        assert exactly(await corpus.query(fields=fields)) == exactly([{"id": 1, **kept}])

    async def test_without_fields_everything_is_kept(self, corpus: AnyBackend) -> None:
        assert exactly(await corpus.query(fields=None)) == exactly([DOCUMENT])

    async def test_the_stored_document_stays_whole(self, corpus: AnyBackend) -> None:
        await corpus.query(fields=["title"])
        assert await corpus.get(1) == DOCUMENT

    async def test_a_filter_sees_what_is_not_kept(self, corpus: AnyBackend) -> None:
        assert await corpus.query({"owner.name": "b"}, fields=["title"]) == [
            {"id": 1, "title": "a"}
        ]

    async def test_a_sort_sees_what_is_not_kept(self, backend: AnyBackend) -> None:
        await save(backend, {"n": 2})
        await save(backend, {"n": 1})
        assert await backend.query(sort=[["n", "asc"]], fields=[]) == [{"id": 2}, {"id": 1}]

    async def test_version_and_instants_are_told_all_the_same(self, backend: AnyBackend) -> None:
        saved = (await save(backend, {"title": "a"}, ttl_seconds=60)).record
        (record,) = (await find(backend, finding(fields=[]))).records
        assert (record.id, record.version, record.created_at, record.expires_at) == (
            saved.id,
            saved.version,
            saved.created_at,
            saved.expires_at,
        )

    @pytest.mark.parametrize(
        "path", ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\x00"], ids=ascii
    )
    async def test_an_unlawful_path_is_refused(self, backend: AnyBackend, path: str) -> None:
        await refused(backend.query(fields=["title", path]), "fields", 1)

    @pytest.mark.parametrize("path", [1, None, ["a"], True], ids=repr)
    async def test_a_path_that_is_no_text_is_refused(self, backend: AnyBackend, path: Any) -> None:
        await refused(backend.query(fields=[path]), "fields", 0)

    @pytest.mark.parametrize("fields", ["title", 5, {"title": 1}], ids=repr)
    async def test_fields_that_are_no_list_are_refused(
        self, backend: AnyBackend, fields: Any
    ) -> None:
        await refused(backend.query(fields=fields))
