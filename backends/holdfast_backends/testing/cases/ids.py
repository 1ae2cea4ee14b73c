"""Ids: given out without gaps, never twice; integers or strings, and the two never mix."""

from typing import Any

import pytest

from holdfast_backends.errors import ConflictError, StorageError, TaskNotFoundError, TooLargeError
from holdfast_backends.operations import Delete, Save
from holdfast_backends.outcomes import Failed
from holdfast_backends.testing.harness import (
    MAX_INTEGER,
    AnyBackend,
    ManualClock,
    delete,
    expect,
    failure,
    find,
    finding,
    identify,
    ids_of,
    raised,
    refused,
    save,
    save_all,
)
from holdfast_backends.values import RecordId

LAWFUL_IDS: list[RecordId] = [
    1,
    2**31,
    2**53 + 1,
    MAX_INTEGER,
    "a",
    "7",
    "0",
    "-1",
    "1.0",
    "null",
    " ",
    " padded ",
    "line\nbreak",
    "ends\\",
    "ünïcode",
    "\U0001f30a",
    "a" * 255,
    "\U0001f30a" * 255,
]

NO_IDS: list[Any] = [
    0,
    -1,
    2**63,
    1.0,
    True,
    False,
    "",
    "a" * 256,
    "a\x00b",
    "\ud800",
    [1],
    {"a": 1},
    b"a",
]


@pytest.mark.asyncio(loop_scope="session")
class TestGivingOutIds:
    async def test_the_first_id_is_1(self, backend: AnyBackend) -> None:
        assert (await backend.save({"title": "a"}))["id"] == 1

    async def test_the_next_id_is_one_more(self, backend: AnyBackend) -> None:
        await backend.save({})
        assert (await backend.save({}))["id"] == 2

    async def test_a_given_id_is_an_integer(self, backend: AnyBackend) -> None:
        assert type((await backend.save({}))["id"]) is int

    async def test_each_collection_counts_for_itself(self, backend: AnyBackend) -> None:
        await backend.save({}, collection="users")
        assert (await backend.save({}, collection="projects"))["id"] == 1

    async def test_a_null_id_means_none(self, backend: AnyBackend) -> None:
        assert (await backend.save({"id": None}))["id"] == 1

    async def test_saves_of_one_call_get_ids_in_order(self, backend: AnyBackend) -> None:
        saved = await save_all(backend, [{} for _ in range(50)])
        assert [outcome.record.id for outcome in saved] == list(range(1, 51))

    async def test_an_explicit_larger_id_is_jumped_over(self, backend: AnyBackend) -> None:
        await backend.save({"id": 41})
        assert (await backend.save({}))["id"] == 42

    async def test_an_explicit_smaller_id_moves_nothing(self, backend: AnyBackend) -> None:
        await backend.save({"id": 10})
        await backend.save({"id": 3})
        assert (await backend.save({}))["id"] == 11

    async def test_an_explicit_next_id_is_not_given_out_again(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        assert (await backend.save({}))["id"] == 2

    async def test_a_string_id_moves_nothing(self, backend: AnyBackend) -> None:
        await backend.save({"id": "100"})
        assert (await backend.save({}))["id"] == 1

    async def test_explicit_and_given_ids_mix_in_one_call(self, backend: AnyBackend) -> None:
        saved = await save_all(backend, [{}, {"id": 5}, {}, {"id": 2}, {}])
        assert [outcome.record.id for outcome in saved] == [1, 5, 6, 2, 7]


@pytest.mark.asyncio(loop_scope="session")
class TestIdsAreNeverGivenOutAgain:
    async def test_not_after_a_delete(self, backend: AnyBackend) -> None:
        await backend.save({})
        await backend.delete(1)
        assert (await backend.save({}))["id"] == 2

    async def test_not_after_everything_was_deleted(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {}, {}])
        for record_id in (1, 2, 3):
            await backend.delete(record_id)
        assert (await backend.save({}))["id"] == 4

    async def test_not_after_a_delete_in_the_same_call(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Save({}), Delete(1), Save({})])
        assert (await backend.list_all())[0]["id"] == 2
        assert len(outcomes) == 3

    async def test_not_after_an_explicit_larger_id_was_deleted(self, backend: AnyBackend) -> None:
        await backend.save({"id": 9})
        await backend.delete(9)
        assert (await backend.save({}))["id"] == 10

    async def test_not_after_expiry(self, backend: AnyBackend, clock: ManualClock) -> None:
        await backend.save({}, ttl_seconds=1)
        clock.advance(2)
        assert (await backend.save({}))["id"] == 2

    async def test_not_after_expiry_and_sweep(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await backend.save({}, ttl_seconds=1)
        clock.advance(2)
        await backend.sweep()
        assert (await backend.save({}))["id"] == 2


@pytest.mark.asyncio(loop_scope="session")
class TestFailedWritesMoveNoCounter:
    async def test_a_conflict_on_an_explicit_id(self, backend: AnyBackend) -> None:
        await raised(ConflictError, backend.save({"id": 99}, if_version=3))
        assert (await backend.save({}))["id"] == 1

    async def test_a_document_that_is_too_large(self, backend: AnyBackend) -> None:
        await raised(TooLargeError, backend.save({"text": "x" * 1_048_576}))
        assert (await backend.save({}))["id"] == 1

    async def test_a_failure_between_successes_of_one_call(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Save({}), Save({"id": 50}, if_version=1), Save({"id": 1}, if_version=0), Save({})]
        )
        expect(Failed, outcomes[1])
        expect(Failed, outcomes[2])
        assert ids_of(await find(backend, finding())) == [1, 2]

    async def test_a_refused_save(self, backend: AnyBackend) -> None:
        await refused(backend.save({"bad": float("nan")}))
        assert (await backend.save({}))["id"] == 1

    async def test_a_failed_write_with_an_identity(self, backend: AnyBackend) -> None:
        await failure(backend, Save({"id": 99}, if_version=3, identity=identify()))
        assert (await backend.save({}))["id"] == 1


@pytest.mark.asyncio(loop_scope="session")
class TestTheLastInteger:
    async def test_it_can_be_used(self, backend: AnyBackend) -> None:
        assert (await backend.save({"id": MAX_INTEGER}))["id"] == MAX_INTEGER

    async def test_the_one_before_leaves_one_to_give_out(self, backend: AnyBackend) -> None:
        await backend.save({"id": MAX_INTEGER - 1})
        assert (await backend.save({}))["id"] == MAX_INTEGER

    async def test_then_no_id_is_left(self, backend: AnyBackend) -> None:
        await backend.save({"id": MAX_INTEGER})
        await raised(StorageError, backend.save({}))

    async def test_then_none_is_left_after_a_delete_either(self, backend: AnyBackend) -> None:
        await backend.save({"id": MAX_INTEGER})
        await backend.delete(MAX_INTEGER)
        await raised(StorageError, backend.save({}))

    async def test_then_explicit_ids_still_work(self, backend: AnyBackend) -> None:
        await backend.save({"id": MAX_INTEGER})
        await backend.save({"id": 5, "title": "a"})
        assert await backend.get(5) == {"id": 5, "title": "a"}

    async def test_then_other_collections_still_give_out_ids(self, backend: AnyBackend) -> None:
        await backend.save({"id": MAX_INTEGER})
        assert (await backend.save({}, collection="other"))["id"] == 1


@pytest.mark.asyncio(loop_scope="session")
class TestWhatAnIdIs:
    @pytest.mark.parametrize("record_id", LAWFUL_IDS, ids=lambda value: repr(value)[:24])
    async def test_a_lawful_id_names_its_record(
        self, backend: AnyBackend, record_id: RecordId
    ) -> None:
        await backend.save({"id": record_id, "title": "mine"})
        found = await backend.get(record_id)
        assert found == {"id": record_id, "title": "mine"}
        assert type(found["id"]) is type(record_id)

    @pytest.mark.parametrize("record_id", LAWFUL_IDS, ids=lambda value: repr(value)[:24])
    async def test_a_lawful_id_can_be_deleted(
        self, backend: AnyBackend, record_id: RecordId
    ) -> None:
        await backend.save({"id": record_id})
        assert (await delete(backend, record_id)).record.id == record_id
        await raised(TaskNotFoundError, backend.get(record_id))

    @pytest.mark.parametrize("record_id", NO_IDS, ids=lambda value: repr(value)[:24])
    async def test_save_refuses_what_is_no_id(self, backend: AnyBackend, record_id: Any) -> None:
        await refused(backend.save({"id": record_id}))
        assert await backend.list_all() == []

    @pytest.mark.parametrize("record_id", [*NO_IDS, None], ids=lambda value: repr(value)[:24])
    async def test_get_refuses_what_is_no_id(self, backend: AnyBackend, record_id: Any) -> None:
        await refused(backend.get(record_id))

    @pytest.mark.parametrize("record_id", [*NO_IDS, None], ids=lambda value: repr(value)[:24])
    async def test_update_refuses_what_is_no_id(self, backend: AnyBackend, record_id: Any) -> None:
        await refused(backend.update(record_id, {"a": 1}))

    @pytest.mark.parametrize("record_id", [*NO_IDS, None], ids=lambda value: repr(value)[:24])
    async def test_delete_refuses_what_is_no_id(self, backend: AnyBackend, record_id: Any) -> None:
        await refused(backend.delete(record_id))

    async def test_7_and_the_text_7_are_two_records(self, backend: AnyBackend) -> None:
        await backend.save({"id": 7, "kind": "integer"})
        await backend.save({"id": "7", "kind": "text"})
        assert (await backend.get(7))["kind"] == "integer"
        assert (await backend.get("7"))["kind"] == "text"

    async def test_ids_differ_by_case(self, backend: AnyBackend) -> None:
        await backend.save({"id": "a"})
        await raised(TaskNotFoundError, backend.get("A"))

    async def test_ids_differ_by_trailing_space(self, backend: AnyBackend) -> None:
        await backend.save({"id": "a"})
        await raised(TaskNotFoundError, backend.get("a "))

    async def test_ids_differ_by_normal_form(self, backend: AnyBackend) -> None:
        await save(backend, {"id": "\u00e9"})
        await raised(TaskNotFoundError, backend.get("e\u0301"))
