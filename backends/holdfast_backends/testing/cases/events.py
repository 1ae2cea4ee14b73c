"""Each write tells of itself: one event, with what became of the record, and whose message."""

import asyncio

import pytest

from holdfast_backends.errors import InvalidValueError
from holdfast_backends.operations import (
    Count,
    Delete,
    Get,
    Index,
    Operation,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import Failed
from holdfast_backends.store import DELETED
from holdfast_backends.testing.cases.identity import drain
from holdfast_backends.testing.harness import (
    AnyBackend,
    ManualClock,
    delete,
    exactly,
    expect,
    failure,
    finding,
    identify,
    save,
    save_all,
    transact,
    update,
)
from holdfast_backends.testing.telling import Told, acquire, kinds, page, release, told
from holdfast_backends.values import JsonObject

ME = identify()


@pytest.mark.asyncio(loop_scope="session")
class TestWhatAWriteTells:
    async def test_a_save_tells_created(self, backend: AnyBackend) -> None:
        await save(backend, {"a": 1})
        assert await told(backend) == [Told(1, "created", 1, 1, {"id": 1, "a": 1})]

    async def test_a_save_of_a_new_id_tells_created(self, backend: AnyBackend) -> None:
        await save(backend, {"id": "x"})
        assert await told(backend) == [Told(1, "created", "x", 1, {"id": "x"})]

    async def test_a_replacement_tells_updated(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": 1, "a": 1}, {"id": 1, "b": 2}])
        assert (await told(backend))[1:] == [Told(2, "updated", 1, 2, {"id": 1, "b": 2})]

    async def test_an_update_tells_the_state_after_it(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 1})
        await update(backend, 1, {"a": True}, increment={"n": 1})
        expected = Told(2, "updated", 1, 2, {"id": 1, "n": 2, "a": True})
        assert (await told(backend))[1:] == [expected]

    async def test_an_update_that_changes_nothing_tells_too(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await update(backend, 1, {})
        assert (await told(backend))[1:] == [Told(2, "updated", 1, 2, {"id": 1})]

    async def test_a_delete_tells_the_state_before_it(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": 1}, {"id": 1, "a": 1}])
        await delete(backend, 1)
        assert (await told(backend))[2:] == [Told(3, "deleted", 1, 2, {"id": 1, "a": 1})]

    async def test_a_record_made_again_tells_created(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "a": 1})
        await delete(backend, 1)
        await save(backend, {"id": 1, "a": 2})
        assert (await told(backend))[2:] == [Told(3, "created", 1, 2, {"id": 1, "a": 2})]

    async def test_values_stand_in_it_as_they_are_kept(self, backend: AnyBackend) -> None:
        document: JsonObject = {"a": [1, 1.0, -0.0, 1e22, None, {"é": "\U0001f30a'\\"}], "": {}}
        await save(backend, {"id": "é'", **document})
        (event,) = await told(backend)
        assert exactly(event.document) == exactly({"id": "é'", **document})

    async def test_a_large_document_stands_in_it(self, backend: AnyBackend) -> None:
        text = "x" * 1_000_000
        await save(backend, {"text": text})
        assert (await told(backend))[0].document["text"] == text

    async def test_it_tells_when(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {})
        clock.advance(5)
        saved = await save(backend, {})
        events = (await page(backend)).events
        assert [event.at for event in events] == [clock.now - 5_000_000, clock.now]
        assert events[1].at == saved.record.updated_at

    async def test_it_tells_whose_message_it_was(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1}, identity=identify("m1", sender="é"))
        await update(backend, 1, {}, identity=identify("m2", sender="b"))
        await delete(backend, 1, identity=identify("m3", sender="c"))
        events = (await page(backend)).events
        assert [(event.sender, event.message_id) for event in events] == [
            *[("é", "m1"), ("b", "m2"), ("c", "m3")]
        ]

    async def test_it_tells_of_nobody_where_there_was_no_message(self, backend: AnyBackend) -> None:
        await save(backend, {}, identity=ME)
        await save(backend, {})
        assert (await page(backend)).events[1][-2:] == (None, None)

    async def test_each_write_of_a_transaction_tells_the_transactions_message(
        self, backend: AnyBackend
    ) -> None:
        operations = (Save({"id": 1}), Get(1), Update(1, {"a": 1}), Save({}, "users"), Delete(1))
        await transact(backend, *operations, identity=ME)
        assert await kinds(backend) == ["created", "updated", "deleted"]
        assert await kinds(backend, "users") == ["created"]
        for name in ("tasks", "users"):
            events = (await page(backend, name)).events
            assert {event[-2:] for event in events} == {(ME.sender, ME.message_id)}


@pytest.mark.asyncio(loop_scope="session")
class TestWhatTellsNothing:
    @pytest.mark.parametrize(
        "operation",
        [
            Save({"id": 1}, if_version=0),
            Save({"id": 2}, if_version=4),
            Update(2, {}),
            Update(1, {}, if_version=9),
            Update(1, increment={"text": 1}),
            Update(1, append={"text": [1]}),
            Delete(2),
            Delete(1, if_version=9),
            Transaction((Save({}), Delete(9))),
            Transaction((Save({}), Get(1)), max_bytes=10),
        ],
        ids=[
            *("create", "save", "nothing to update", "update", "increment", "append"),
            *("nothing to delete", "delete", "transaction", "too large a transaction"),
        ],
    )
    async def test_what_fails(self, backend: AnyBackend, operation: Operation) -> None:
        await save(backend, {"id": 1, "text": "t"})
        await failure(backend, operation)
        assert await kinds(backend) == ["created"]
        assert dict(await backend.outbox.positions()) == {"tasks": 1}

    async def test_a_failure_among_others(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Save({}), Delete(9), Save({}), Save({"id": 1}, if_version=0), Delete(1)]
        )
        assert sum(isinstance(outcome, Failed) for outcome in outcomes) == 2
        assert [(event.sequence, event.kind) for event in await told(backend)] == [
            *[(1, "created"), (2, "created"), (3, "deleted")]
        ]

    async def test_a_message_that_comes_again(self, backend: AnyBackend) -> None:
        await save(backend, {}, identity=ME)
        for _ in range(3):
            await save(backend, {}, identity=ME)
        await backend.execute([Save({}, identity=ME)] * 3)
        assert await kinds(backend) == ["created"]

    async def test_another_payload_under_the_same_id(self, backend: AnyBackend) -> None:
        await save(backend, {}, identity=ME)
        await failure(backend, Save({"a": 1}, identity=identify(digest="b")))
        assert await kinds(backend) == ["created"]

    async def test_an_undone_transaction_between_others(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [
                Save({"id": 1}),
                Transaction((Save({}), Update(1, {"a": 1}), Delete(9))),
                Update(1, {"b": 1}),
            ]
        )
        expect(Failed, outcomes[1])
        assert await told(backend) == [
            Told(1, "created", 1, 1, {"id": 1}),
            Told(2, "updated", 1, 2, {"id": 1, "b": 1}),
        ]

    async def test_the_failures_of_a_transaction_that_is_not_atomic(
        self, backend: AnyBackend
    ) -> None:
        await transact(backend, Delete(9), Save({}), Delete(8), Save({}), atomic=False)
        assert await kinds(backend) == ["created", "created"]

    async def test_reads_and_indexes(self, backend: AnyBackend) -> None:
        await save(backend, {})
        await backend.execute([Get(1), Count(), finding({"a": 1}), Index("tasks", ("a",))])
        assert await kinds(backend) == ["created"]

    async def test_locks(self, backend: AnyBackend) -> None:
        await release(backend, (await acquire(backend)).token)
        assert dict(await backend.outbox.positions()) == {}
        assert dict(await backend.outbox.unpublished()) == {}

    async def test_internal_collections_cannot_be_read(self, backend: AnyBackend) -> None:
        await acquire(backend)
        with pytest.raises(InvalidValueError):
            await page(backend, "$locks")


@pytest.mark.asyncio(loop_scope="session")
class TestWhatExpiryTells:
    async def test_a_sweep_tells_deleted_by_nobody(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1, "a": 1}, ttl_seconds=1, identity=ME)
        clock.advance(2)
        await drain(backend)
        assert (await told(backend))[1:] == [Told(2, "deleted", 1, 1, {"id": 1, "a": 1})]
        swept = (await page(backend)).events[1]
        assert (swept.at, swept.sender, swept.message_id) == (clock.now, None, None)

    async def test_before_the_sweep_nothing_is_told(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(2)
        await backend.execute([Get(1), Update(1, {"a": 1}), Delete(1), Count()])
        assert await kinds(backend) == ["created"]

    async def test_a_second_sweep_tells_it_no_more(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {}, ttl_seconds=1)
        clock.advance(2)
        await drain(backend)
        await drain(backend)
        assert await kinds(backend) == ["created", "deleted"]

    async def test_a_save_in_its_place_tells_deleted_then_created(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1, "a": 1}, ttl_seconds=1)
        clock.advance(2)
        saved = await save(backend, {"id": 1, "a": 2})
        assert (await told(backend))[1:] == [
            Told(2, "deleted", 1, 1, {"id": 1, "a": 1}),
            Told(3, "created", 1, 2, {"id": 1, "a": 2}),
        ]
        assert saved.sequence == 3
        await drain(backend)
        assert await kinds(backend) == ["created", "deleted", "created"]

    async def test_sweeps_and_saves_at_once_tell_each_end_once(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{"id": number} for number in range(1, 21)])
        for number in range(1, 21):
            await save(backend, {"id": number}, ttl_seconds=1)
        clock.advance(2)
        await asyncio.gather(
            backend.sweep(), *(save(backend, {"id": n}) for n in range(1, 11)), backend.sweep()
        )
        await drain(backend)
        events = (await page(backend)).events
        ended = [event.key for event in events if event.kind == DELETED]
        assert (len(ended), len(set(ended))) == (20, 20)
