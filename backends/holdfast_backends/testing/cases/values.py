"""Values: what is read equals what was saved, in value and in JSON type; the rest is refused."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_backends.errors import TooLargeError
from holdfast_backends.testing.harness import (
    MAX_INTEGER,
    MIN_INTEGER,
    AnyBackend,
    exactly,
    get,
    nested,
    raised,
    refused,
    save,
)
from holdfast_backends.values import JsonValue

KEPT: dict[str, JsonValue] = {
    "null": None,
    "true": True,
    "false": False,
    "0": 0,
    "-1": -1,
    "2^53+1": 2**53 + 1,
    "largest integer": MAX_INTEGER,
    "smallest integer": MIN_INTEGER,
    "0.0": 0.0,
    "-0.0": -0.0,
    "1.0": 1.0,
    "0.1": 0.1,
    "0.30000000000000004": 0.30000000000000004,
    "1e22": 1e22,
    "1e23": 1e23,
    "-1e-7": -1e-7,
    "2^53 as a float": float(2**53),
    "2^63 as a float": float(2**63),
    "smallest double": 5e-324,
    "smallest normal double": 2.2250738585072014e-308,
    "largest double": 1.7976931348623157e308,
    "most negative double": -1.7976931348623157e308,
    "empty text": "",
    "spaces": "  \t\r\n ",
    "quotes": "\"'`",
    "backslashes": "\\ \\\\ \\n \\u0000",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "line separators": "\u2028\u2029\u0085",
    "accents": "é e\u0301 ñ ß ﬃ",
    "right to left": "שלום \u202emirror",
    "astral": "\U0001f30a\U00010000\U0010ffff",
    "noncharacters": "\ufffe\uffff\ufdd0",
    "byte order mark": "\ufeffx",
    "emoji sequence": "👩\u200d👩\u200d👧\u200d👦",
    "long text": "wave " * 50_000,
    "text of a number": "1.0",
    "text of null": "null",
    "text of JSON": '{"a": [1, 2]}',
    "empty array": [],
    "nested empty arrays": [[], [[]], [[], []]],
    "mixed array": [None, True, 0, 0.0, "", [], {}],
    "array order": [3, 1, 2, 1],
    "empty object": {},
    "nested empty objects": {"a": {}, "b": {"c": {}}},
    "object of nulls": {"a": None, "b": [None]},
    "empty key": {"": 1, "a": {"": {"": 2}}},
    "keys with dots": {"a.b": 1, ".": 2, "..": 3, "a": {"b": 4}},
    "numeric keys": {"0": "a", "1": "b", "-1": "c"},
    "keys with unicode": {"é": 1, "e\u0301": 2, "\U0001f30a": 3},
    "keys with quotes": {"'": 1, '"': 2, "\\": 3, "%": 4, "_": 5},
    "key with $ inside": {"a$": 1, "a$b": 2},
    "key of 256 characters": {"k" * 256: 1},
    "key of 256 astral characters": {"\U0001f30a" * 256: 1},
    "keys that look like ours": {"id": 5, "version": 6, "_id": 7, "created_at": 8},
    "keys of Python and JavaScript": {"__class__": 1, "__proto__": 2, "constructor": 3},
    "many keys": {f"key{number}": number for number in range(2_000)},
    "many elements": list(range(20_000)),
    "63 levels below the document": nested(63),
    "arrays, 63 levels": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]],
}

UNKEEPABLE: dict[str, Any] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "2^63": 2**63,
    "-2^63-1": -(2**63) - 1,
    "10^400": 10**400,
    "NUL": "a\x00b",
    "high surrogate": "\ud83c",
    "low surrogate": "\udf0a",
    "surrogates in the wrong order": "\udf0a\ud83c",
    "tuple": (1, 2),
    "set": {1},
    "frozenset": frozenset((1,)),
    "bytes": b"a",
    "bytearray": bytearray(b"a"),
    "complex number": 1j,
    "object": object(),
    "type": int,
}

NO_KEYS: dict[str, Any] = {
    "$": "$",
    "$set": "$set",
    "257 characters": "k" * 257,
    "NUL": "a\x00",
    "surrogate": "\ud800",
    "integer": 1,
    "None": None,
    "tuple": (1,),
}

MEBIBYTE = 1024 * 1024


@pytest.mark.asyncio(loop_scope="session")
class TestKeptValues:
    @pytest.mark.parametrize("name", KEPT)
    async def test_it_is_read_as_it_was_saved(self, backend: AnyBackend, name: str) -> None:
        await backend.save({"id": 1, "value": KEPT[name]})
        assert exactly(await backend.get(1)) == exactly({"id": 1, "value": KEPT[name]})

    async def test_all_of_them_at_once(self, backend: AnyBackend) -> None:
        kept: dict[str, JsonValue] = {
            name: value for name, value in KEPT.items() if "63" not in name
        }
        await backend.save({"id": 1, **kept})
        assert exactly(await backend.get(1)) == exactly({"id": 1, **kept})

    async def test_save_answers_with_the_same(self, backend: AnyBackend) -> None:
        document: dict[str, JsonValue] = {"id": 1, "a": -0.0, "b": 1e22, "c": [1.0, 1, True]}
        assert exactly(await backend.save(document)) == exactly(document)

    async def test_an_update_leaves_the_others_as_they_are(self, backend: AnyBackend) -> None:
        document: dict[str, JsonValue] = {"id": 1, "a": -0.0, "b": 1e22, "c": [1.0, 2**53 + 1]}
        await backend.save(document)
        await backend.update(1, {"d": 1})
        assert exactly(await backend.get(1)) == exactly({**document, "d": 1})

    async def test_lists_and_queries_give_the_same(self, backend: AnyBackend) -> None:
        document: dict[str, JsonValue] = {"id": 1, "a": -0.0, "b": 1e22, "c": [1.0, {}, []]}
        await backend.save(document)
        assert exactly(await backend.list_all()) == exactly([document])
        assert exactly(await backend.query({"b": 1e22})) == exactly([document])
        assert exactly(await backend.query(fields=["a", "b", "c"])) == exactly([document])

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(
        value=st.recursive(
            st.none()
            | st.booleans()
            | st.integers(MIN_INTEGER, MAX_INTEGER)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.text(
                        st.characters(exclude_categories=["Cs"], exclude_characters="\x00$"),
                        max_size=8,
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    async def test_any_value_is_read_as_it_was_saved(
        self, backend: AnyBackend, value: JsonValue
    ) -> None:
        saved = await save(backend, {"value": value})
        assert exactly((await get(backend, saved.record.id)).record.value["value"]) == exactly(
            value
        )


@pytest.mark.asyncio(loop_scope="session")
class TestRefusedValues:
    @pytest.mark.parametrize("name", UNKEEPABLE)
    async def test_at_the_top(self, backend: AnyBackend, name: str) -> None:
        await refused(backend.save({"id": 1, "a": UNKEEPABLE[name]}), "a")
        assert await backend.list_all() == []

    @pytest.mark.parametrize("name", UNKEEPABLE)
    async def test_deeper_down(self, backend: AnyBackend, name: str) -> None:
        document: Any = {"id": 1, "rows": [0, {"cell": UNKEEPABLE[name]}]}
        await refused(backend.save(document), "rows", 1, "cell")
        assert await backend.list_all() == []

    @pytest.mark.parametrize("name", NO_KEYS)
    async def test_keys_at_the_top(self, backend: AnyBackend, name: str) -> None:
        await refused(backend.save({"id": 1, NO_KEYS[name]: 1}))
        assert await backend.list_all() == []

    @pytest.mark.parametrize("name", NO_KEYS)
    async def test_keys_deeper_down(self, backend: AnyBackend, name: str) -> None:
        error = await refused(backend.save({"id": 1, "rows": [{NO_KEYS[name]: 1}]}))
        assert "rows" in error.loc
        assert await backend.list_all() == []

    @pytest.mark.parametrize("document", [None, [], "text", 1, True, ((1, 2),)], ids=repr)
    async def test_a_document_that_is_no_object(self, backend: AnyBackend, document: Any) -> None:
        await refused(backend.save(document))

    async def test_65_levels_of_objects(self, backend: AnyBackend) -> None:
        await refused(backend.save({"id": 1, "a": nested(64)}))
        assert await backend.list_all() == []

    async def test_65_levels_of_arrays(self, backend: AnyBackend) -> None:
        value: JsonValue = []
        for _ in range(63):
            value = [value]
        await refused(backend.save({"id": 1, "a": value}))
        assert await backend.list_all() == []

    async def test_64_levels_of_arrays_are_lawful(self, backend: AnyBackend) -> None:
        value: JsonValue = []
        for _ in range(62):
            value = [value]
        await backend.save({"id": 1, "a": value})
        assert await backend.get(1) == {"id": 1, "a": value}

    async def test_100_000_levels(self, backend: AnyBackend) -> None:
        value: JsonValue = None
        for _ in range(100_000):
            value = [value]
        await refused(backend.save({"id": 1, "a": value}))

    async def test_a_value_that_holds_itself(self, backend: AnyBackend) -> None:
        endless: list[JsonValue] = []
        endless.append(endless)
        await refused(backend.save({"id": 1, "a": endless}))

    async def test_a_refused_save_replaces_nothing(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1, "a": 1})
        await refused(backend.save({"id": 1, "a": float("nan")}), "a")
        assert (await get(backend, 1)).record == before.record


def text_document(size: int, *, character: str = "x", cost: int = 1) -> dict[str, JsonValue]:
    """A document of exactly so many bytes, `{"id":1,"text":"…"}`; a character costs `cost`."""
    room = size - len('{"id":1,"text":""}')
    return {"id": 1, "text": character * (room // cost) + "x" * (room % cost)}


@pytest.mark.asyncio(loop_scope="session")
class TestTheSizeOfADocument:
    async def test_1_mebibyte_is_lawful(self, backend: AnyBackend) -> None:
        document = text_document(MEBIBYTE)
        await backend.save(document)
        assert await backend.get(1) == document

    async def test_one_byte_more_is_too_large(self, backend: AnyBackend) -> None:
        await raised(TooLargeError, backend.save(text_document(MEBIBYTE + 1)))
        assert await backend.list_all() == []

    @pytest.mark.parametrize(
        ("character", "cost"),
        [("é", 2), ("€", 3), ("\U0001f30a", 4), ('"', 2), ("\\", 2), ("\n", 2)],
    )
    async def test_it_counts_the_bytes_of_compact_json(
        self, backend: AnyBackend, character: str, cost: int
    ) -> None:
        await backend.save(text_document(MEBIBYTE, character=character, cost=cost))
        await raised(
            TooLargeError,
            backend.save(text_document(MEBIBYTE + 1, character=character, cost=cost)),
        )
        assert (await get(backend, 1)).record.version == 1

    async def test_a_given_id_counts(self, backend: AnyBackend) -> None:
        document = text_document(MEBIBYTE)
        del document["id"]
        assert (await backend.save(document))["id"] == 1
        document["text"] = f"{document['text']}x"
        await raised(TooLargeError, backend.save(document))

    async def test_a_longer_given_id_counts_more(self, backend: AnyBackend) -> None:
        await backend.save({"id": 9})
        document = text_document(MEBIBYTE)
        del document["id"]
        await raised(TooLargeError, backend.save(document))

    async def test_an_update_may_reach_it(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        document = text_document(MEBIBYTE)
        assert await backend.update(1, {"text": document["text"]}) == document

    async def test_an_update_may_not_pass_it(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1})
        document = text_document(MEBIBYTE + 1)
        await raised(TooLargeError, backend.update(1, {"text": document["text"]}))
        assert (await get(backend, 1)).record == before.record
