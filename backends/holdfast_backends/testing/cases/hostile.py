"""Hostile text: in ids, keys, values, paths and operands it is text and nothing else."""

import pytest
import pytest_asyncio

from holdfast_backends.testing.harness import (
    AnyBackend,
    all_pages,
    finding,
    identify,
    ids_of,
    matching,
    save,
    save_all,
    update,
)
from holdfast_backends.values import JsonObject, RecordId

TEXTS: list[str] = [
    "' OR '1'='1",
    "'; DROP TABLE records; --",
    '"; DELETE FROM records; --',
    "\\'; SELECT pg_sleep(10); --",
    "$1",
    "$$",
    ":id",
    "?",
    "%s %(x)s {0} {id}",
    "%",
    "_",
    "a%b_c",
    "\\%\\_",
    "*",
    "[a-z]?*",
    "^h[^x]llo\\",
    "{tag}",
    "}{",
    "{}",
    "]] .. redis.call('FLUSHALL') --",
    "return redis.call('KEYS', '*')",
    "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
    "a:b:c",
    "a|b,c;d",
    "a/b/../c",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "`id`",
    "\x01\x02\x7f",
    "\x1b[31mred\x1b[0m",
    "\u202etxt.exe",
    "\ufeffbom",
    "\u2028\u2029",
    "é e\u0301",
    "\uffff\U00010000\U0010ffff",
    "NULL",
    "nan",
    "true",
    "1e9",
    "-0",
    "__proto__",
    "x" * 255,
    "\U0001f30a" * 255,
]
PATH_TEXTS = [text for text in TEXTS if "." not in text and not text.startswith("$")]


def short(text: str) -> str:
    """A name for a test's parameter."""
    return ascii(text)[1:33]


@pytest.mark.asyncio(loop_scope="session")
class TestHostileText:
    @pytest.mark.parametrize("text", TEXTS, ids=short)
    async def test_as_an_id(self, backend: AnyBackend, text: str) -> None:
        await save_all(backend, [{"id": "bystander"}, {"id": text, "a": 1}])
        assert await backend.get(text) == {"id": text, "a": 1}
        assert await backend.query({"id": text}) == [{"id": text, "a": 1}]
        await backend.delete(text)
        assert await backend.list_all() == [{"id": "bystander"}]

    @pytest.mark.parametrize("text", TEXTS, ids=short)
    async def test_as_a_value(self, backend: AnyBackend, text: str) -> None:
        await save_all(backend, [{"id": 1, "a": text}, {"id": 2, "a": "bystander"}])
        assert await backend.get(1) == {"id": 1, "a": text}

    @pytest.mark.parametrize("text", TEXTS, ids=short)
    async def test_as_an_operand(self, backend: AnyBackend, text: str) -> None:
        await save_all(
            backend,
            [{"a": text}, {"a": "bystander"}, {"a": f"+{text}+"}, {"a": f"{text}+"}, {"a": [text]}],
        )
        assert await matching(backend, {"a": text}) == {1}
        assert await matching(backend, {"a": {"$in": [text]}}) == {1}
        assert await matching(backend, {"a": {"$contains": text}}) == {1, 3, 4, 5}
        assert await matching(backend, {"a": {"$prefix": text}}) == {1, 4}
        assert await matching(backend, {"a": {"$gte": text, "$lte": text}}) == {1}
        assert await matching(backend, {"a": {"$ne": text}}) == {2, 3, 4, 5}

    @pytest.mark.parametrize("text", PATH_TEXTS, ids=short)
    async def test_as_a_path(self, backend: AnyBackend, text: str) -> None:
        await save_all(backend, [{text: 2}, {text: 1}, {"bystander": 0}])
        assert await matching(backend, {text: 1}) == {2}
        ordered = await backend.query(sort=[[text, "asc"]], fields=[text])
        assert ordered == [{"id": 3}, {"id": 2, text: 1}, {"id": 1, text: 2}]
        changed = await update(backend, 1, increment={text: 5})
        assert changed.record.value == {"id": 1, text: 7}

    @pytest.mark.parametrize("text", [t[:128] for t in TEXTS], ids=short)
    async def test_as_an_identity(self, backend: AnyBackend, text: str) -> None:
        identity = identify(text, sender=text)
        first = await save(backend, {}, identity=identity)
        second = await save(backend, {}, identity=identity)
        assert (second.record, second.replayed) == (first.record, True)

    async def test_all_of_them_at_once_as_ids(self, backend: AnyBackend) -> None:
        saved = await save_all(backend, [{"id": text} for text in TEXTS])
        assert {outcome.record.version for outcome in saved} == {1}
        assert [document["id"] for document in await backend.list_all()] == sorted(TEXTS)

    async def test_all_of_them_as_keys_of_one_document(self, backend: AnyBackend) -> None:
        document: JsonObject = {text: text for text in TEXTS if not text.startswith("$")}
        await backend.save({"id": 1, **document})
        assert await backend.get(1) == {"id": 1, **document}


@pytest.mark.asyncio(loop_scope="session")
class TestHostileTextInPages:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds every text as an id and as a value."""
        await save_all(
            backend, [{"id": text, "a": TEXTS[-1 - place]} for place, text in enumerate(TEXTS)]
        )
        return backend

    async def test_a_cursor_may_stand_at_any_id(self, corpus: AnyBackend) -> None:
        pages = await all_pages(corpus, lambda cursor: finding(limit=1, cursor=cursor))
        assert ids_of(*pages) == sorted(TEXTS)

    async def test_a_cursor_may_stand_at_any_value(self, corpus: AnyBackend) -> None:
        pages = await all_pages(
            corpus, lambda cursor: finding(sort=[["a", "desc"]], limit=1, cursor=cursor)
        )
        by_value: list[RecordId] = [TEXTS[-1 - TEXTS.index(text)] for text in sorted(TEXTS)[::-1]]
        assert ids_of(*pages) == by_value
