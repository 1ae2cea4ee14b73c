"""Exactly once: a write whose message is known is answered with its first outcome again."""

from typing import TypeVar

import pytest

from holdfast_backends.errors import (
    ConflictError,
    InvalidValueError,
    StorageError,
    TaskNotFoundError,
    TooLargeError,
)
from holdfast_backends.operations import (
    Delete,
    Get,
    Operation,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import Batched, Failed, Found, Leased, Outcome, Saved
from holdfast_backends.testing.harness import (
    MAX_INTEGER,
    AnyBackend,
    ManualClock,
    delete,
    expect,
    failure,
    get,
    identify,
    perform,
    save,
    save_all,
    update,
)
from holdfast_backends.values import JsonObject

T = TypeVar("T")

ME = identify()
OTHER_PAYLOAD = identify(digest="b")


def is_replayed(outcome: Outcome) -> bool:
    """Whether this is the answer to an earlier execution."""
    assert isinstance(outcome, (Saved, Found, Leased, Failed, Batched))
    return outcome.replayed


async def twice(backend: AnyBackend, kind: type[T], operation: Operation) -> tuple[T, T]:
    """The outcomes of the same operation in two calls, both of this kind."""
    first, second = await perform(backend, operation), await perform(backend, operation)
    return expect(kind, first), expect(kind, second)


async def drain(backend: AnyBackend) -> None:
    """Sweep until nothing is left to sweep."""
    while await backend.sweep():
        pass


@pytest.mark.asyncio(loop_scope="session")
class TestTheSameMessageTwice:
    async def test_a_save_takes_effect_once(self, backend: AnyBackend) -> None:
        await twice(backend, Saved, Save({"a": 1}, identity=ME))
        assert await backend.list_all() == [{"id": 1, "a": 1}]

    async def test_an_increment_takes_effect_once(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 0})
        await twice(backend, Found, Update(1, increment={"n": 1}, identity=ME))
        assert await backend.get(1) == {"id": 1, "n": 1}

    async def test_an_append_takes_effect_once(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await twice(backend, Found, Update(1, append={"l": [1]}, identity=ME))
        assert await backend.get(1) == {"id": 1, "l": [1]}

    async def test_a_second_save_raises_no_version(self, backend: AnyBackend) -> None:
        await twice(backend, Saved, Save({"id": 1}, identity=ME))
        assert (await get(backend, 1)).record.version == 1

    async def test_a_second_save_uses_up_no_id(self, backend: AnyBackend) -> None:
        await twice(backend, Saved, Save({}, identity=ME))
        assert (await backend.save({}))["id"] == 2

    async def test_a_save_is_answered_alike(self, backend: AnyBackend) -> None:
        document: JsonObject = {"a": [1, 1.0, -0.0, 1e22, None, {"é": "\U0001f30a"}], "b": {}}
        operation = Save(document, ttl_seconds=60, identity=ME)
        first, second = await twice(backend, Saved, operation)
        assert (second.record, second.created) == (first.record, first.created)

    async def test_a_replacement_is_answered_alike(self, backend: AnyBackend) -> None:
        await save(backend, {"id": "x"})
        first, second = await twice(backend, Saved, Save({"id": "x", "a": 1}, identity=ME))
        assert second.record == first.record
        assert not second.created

    async def test_an_update_is_answered_alike(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 1}, ttl_seconds=60)
        first, second = await twice(backend, Found, Update(1, {"a": -0.0}, {"n": 0.5}, identity=ME))
        assert second.record == first.record

    async def test_a_delete_is_answered_alike(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "a": 1})
        first, second = await twice(backend, Found, Delete(1, identity=ME))
        assert second.record == first.record

    @pytest.mark.parametrize(
        "operation",
        [
            Save({}, identity=ME),
            Save({"id": 1}, identity=ME),
            Update(1, {"a": 1}, identity=ME),
            Delete(1, identity=ME),
            Transaction((Delete(1),), identity=ME),
        ],
        ids=["save", "replace", "update", "delete", "transaction"],
    )
    async def test_only_the_second_is_replayed(
        self, backend: AnyBackend, operation: Operation
    ) -> None:
        await save(backend, {"id": 1})
        outcomes = [await perform(backend, operation) for _ in range(2)]
        assert [is_replayed(outcome) for outcome in outcomes] == [False, True]

    async def test_the_tenth_is_answered_like_the_second(self, backend: AnyBackend) -> None:
        outcomes = [await perform(backend, Save({}, identity=ME)) for _ in range(10)]
        assert outcomes[9] == outcomes[1]

    async def test_the_instants_are_those_of_the_first(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        first = await save(backend, {}, identity=ME)
        clock.advance(100)
        assert (await save(backend, {}, identity=ME)).record == first.record

    async def test_without_an_identity_it_takes_effect_twice(self, backend: AnyBackend) -> None:
        await twice(backend, Saved, Save({}))
        assert await backend.count() == 2

    async def test_key_order_may_differ(self, backend: AnyBackend) -> None:
        first = await save(backend, {"a": 1, "b": {"c": 2, "d": 3}}, identity=ME)
        second = await save(backend, {"b": {"d": 3, "c": 2}, "a": 1}, identity=ME)
        assert second.replayed
        assert second.record.value == first.record.value


@pytest.mark.asyncio(loop_scope="session")
class TestAfterTheRecordMovedOn:
    async def test_the_answer_to_a_save_stays_after_an_update(self, backend: AnyBackend) -> None:
        first = await save(backend, {"a": 1}, identity=ME)
        await update(backend, 1, {"a": 2})
        assert (await save(backend, {"a": 1}, identity=ME)).record == first.record
        assert await backend.get(1) == {"id": 1, "a": 2}

    async def test_it_stays_after_a_delete(self, backend: AnyBackend) -> None:
        first = await save(backend, {"a": 1}, identity=ME)
        await delete(backend, 1)
        assert (await save(backend, {"a": 1}, identity=ME)).record == first.record
        assert await backend.list_all() == []

    async def test_it_stays_after_expiry(self, backend: AnyBackend, clock: ManualClock) -> None:
        first = await save(backend, {"a": 1}, ttl_seconds=1, identity=ME)
        clock.advance(2)
        await drain(backend)
        second = await save(backend, {"a": 1}, ttl_seconds=1, identity=ME)
        assert (second.record, second.replayed) == (first.record, True)
        assert await backend.list_all() == []

    async def test_the_answer_to_an_update_stays(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 0})
        first = await update(backend, 1, increment={"n": 1}, identity=ME)
        await update(backend, 1, {"n": 50})
        second = await update(backend, 1, increment={"n": 1}, identity=ME)
        assert second.record == first.record
        assert await backend.get(1) == {"id": 1, "n": 50}

    async def test_the_answer_to_a_delete_stays(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "a": 1})
        first = await delete(backend, 1, identity=ME)
        await save(backend, {"id": 1, "a": 2})
        assert (await delete(backend, 1, identity=ME)).record == first.record
        assert await backend.get(1) == {"id": 1, "a": 2}


FAILURES: dict[str, tuple[Operation, type[StorageError]]] = {
    "conflict of a create": (Save({"id": 1}, if_version=0, identity=ME), ConflictError),
    "conflict of a save": (Save({"id": 1}, if_version=9, identity=ME), ConflictError),
    "conflict of an update": (Update(1, {}, if_version=9, identity=ME), ConflictError),
    "conflict of a delete": (Delete(1, if_version=9, identity=ME), ConflictError),
    "update of nothing": (Update(77, {}, identity=ME), TaskNotFoundError),
    "delete of nothing": (Delete("77", "users", identity=ME), TaskNotFoundError),
    "increment of a text": (Update(1, increment={"a": 1}, identity=ME), InvalidValueError),
    "append to a text": (Update(1, append={"a": [1]}, identity=ME), InvalidValueError),
    "update too large": (Update(1, {"b": "x" * 600_000}, identity=ME), TooLargeError),
    "no id left": (Save({}, "full", identity=ME), StorageError),
    "transaction": (Transaction((Save({}), Get(99)), identity=ME), TaskNotFoundError),
    "transaction too large": (
        Transaction((Save({"a": "x" * 900}), Get(1)), max_bytes=500, identity=ME),
        TooLargeError,
    ),
}


@pytest.mark.asyncio(loop_scope="session")
class TestAFailureTwice:
    async def _prepare(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": 1}, {"id": 1, "a": "x" * 600_000}])
        await save(backend, {"id": MAX_INTEGER}, collection="full")

    @pytest.mark.parametrize("name", FAILURES)
    async def test_it_is_answered_alike(self, backend: AnyBackend, name: str) -> None:
        await self._prepare(backend)
        operation, kind = FAILURES[name]
        first, second = await twice(backend, Failed, operation)
        assert (type(first.error), type(second.error)) == (kind, kind)
        assert str(second.error) == str(first.error)
        assert second.error.details == first.error.details
        assert second.index == first.index

    @pytest.mark.parametrize("name", FAILURES)
    async def test_only_the_second_is_replayed(self, backend: AnyBackend, name: str) -> None:
        await self._prepare(backend)
        outcomes = await twice(backend, Failed, FAILURES[name][0])
        assert [is_replayed(outcome) for outcome in outcomes] == [False, True]

    async def test_it_stays_when_it_would_succeed_now(self, backend: AnyBackend) -> None:
        await failure(backend, Update(1, {"a": 1}, identity=ME))
        await save(backend, {"id": 1})
        failed = await failure(backend, Update(1, {"a": 1}, identity=ME))
        assert (type(failed.error), failed.replayed) == (TaskNotFoundError, True)
        assert await backend.get(1) == {"id": 1}

    async def test_a_refused_document_is_not_remembered(self, backend: AnyBackend) -> None:
        # That it is too large can be seen in the message alone: a refusal, not an outcome.
        with pytest.raises(TooLargeError):
            await perform(backend, Save({"id": 1, "a": "x" * 1_048_576}, identity=ME))
        saved = await save(backend, {"id": 1, "a": "short"}, identity=OTHER_PAYLOAD)
        assert not saved.replayed
