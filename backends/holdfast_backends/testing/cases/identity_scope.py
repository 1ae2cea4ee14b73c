"""Which message a message is, and for how long: payloads, senders, reads, retention."""

import pytest

from holdfast_backends.errors import (
    ConflictError,
)
from holdfast_backends.operations import (
    Delete,
    Identity,
    Operation,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import Saved
from holdfast_backends.testing.cases.identity import ME, OTHER_PAYLOAD, drain, is_replayed, twice
from holdfast_backends.testing.harness import (
    DAY_SECONDS,
    AnyBackend,
    ManualClock,
    failure,
    get,
    identify,
    save,
)


@pytest.mark.asyncio(loop_scope="session")
class TestAnotherPayload:
    @pytest.mark.parametrize(
        "operation",
        [
            Save({"a": 2}, identity=OTHER_PAYLOAD),
            Save({"id": 1}, identity=OTHER_PAYLOAD),
            Update(1, {"a": 2}, identity=OTHER_PAYLOAD),
            Delete(1, identity=OTHER_PAYLOAD),
            Transaction((Save({}),), identity=OTHER_PAYLOAD),
            Transaction((Save({}),), atomic=False, identity=OTHER_PAYLOAD),
        ],
        ids=["save", "replace", "update", "delete", "atomic", "not atomic"],
    )
    async def test_under_the_same_identity_it_is_a_conflict(
        self, backend: AnyBackend, operation: Operation
    ) -> None:
        first = await save(backend, {"a": 1}, identity=ME)
        failed = await failure(backend, operation)
        assert type(failed.error) is ConflictError
        assert not failed.replayed
        assert (await get(backend, 1)).record == first.record
        assert await backend.count() == 1

    async def test_the_conflict_itself_is_not_remembered(self, backend: AnyBackend) -> None:
        await save(backend, {"a": 1}, identity=ME)
        await failure(backend, Save({"a": 2}, identity=OTHER_PAYLOAD))
        assert (await save(backend, {"a": 1}, identity=ME)).replayed
        assert not (await failure(backend, Save({"a": 2}, identity=OTHER_PAYLOAD))).replayed

    async def test_after_a_failure_it_is_a_conflict_too(self, backend: AnyBackend) -> None:
        await failure(backend, Update(1, {"a": 1}, identity=ME))
        failed = await failure(backend, Save({}, identity=OTHER_PAYLOAD))
        assert type(failed.error) is ConflictError

    @pytest.mark.parametrize(
        "other",
        [
            identify("another"),
            identify(sender="somebody"),
            identify("message "),
            identify("MESSAGE"),
            Identity("testermessage", "", b"a"),
            Identity("tester:message", "x", b"a"),
        ],
        ids=["id", "sender", "space", "case", "joined", "separator"],
    )
    async def test_another_identity_is_another_message(
        self, backend: AnyBackend, other: Identity
    ) -> None:
        await save(backend, {}, identity=ME)
        assert (await save(backend, {}, identity=other)).record.id == 2

    async def test_a_sender_and_an_id_never_run_together(self, backend: AnyBackend) -> None:
        await save(backend, {}, identity=Identity("a:b", "c", b"a"))
        await save(backend, {}, identity=Identity("a", "b:c", b"a"))
        assert await backend.count() == 2

    @pytest.mark.parametrize(
        "text",
        ["x" * 128, "\U0001f30a" * 128, "'; --", "a\nb", "{}", "*", "é", ":", " "],
        ids=ascii,
    )
    async def test_any_text_is_an_identity(self, backend: AnyBackend, text: str) -> None:
        identity = Identity(text, text, b"a")
        first, second = await twice(backend, Saved, Save({}, identity=identity))
        assert [is_replayed(first), is_replayed(second)] == [False, True]

    async def test_any_bytes_are_a_digest(self, backend: AnyBackend) -> None:
        digest = bytes(range(256))
        await save(backend, {}, identity=Identity("a", "b", digest))
        assert (await save(backend, {}, identity=Identity("a", "b", digest))).replayed
        failed = await failure(backend, Save({}, identity=Identity("a", "b", digest[:-1])))
        assert type(failed.error) is ConflictError


@pytest.mark.asyncio(loop_scope="session")
class TestHowLongAnIdentityIsKept:
    async def test_29_days_later_it_is_known(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {}, identity=ME)
        clock.advance(29 * DAY_SECONDS)
        await drain(backend)
        assert (await save(backend, {}, identity=ME)).replayed

    async def test_31_days_later_and_swept_it_is_forgotten(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {}, identity=ME)
        clock.advance(31 * DAY_SECONDS)
        await drain(backend)
        again = await save(backend, {}, identity=ME)
        assert (again.replayed, again.record.id) == (False, 2)

    async def test_a_sweep_tells_how_many_it_forgot(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        for number in range(3):
            await save(backend, {}, identity=identify(f"m{number}"))
        clock.advance(29 * DAY_SECONDS)
        await drain(backend)  # events are not kept as long
        clock.advance(2 * DAY_SECONDS)
        assert await backend.sweep() == 3

    async def test_a_replay_does_not_make_it_younger(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {}, identity=ME)
        clock.advance(20 * DAY_SECONDS)
        await save(backend, {}, identity=ME)
        clock.advance(11 * DAY_SECONDS)
        await drain(backend)
        assert not (await save(backend, {}, identity=ME)).replayed

    async def test_younger_ones_stay(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {}, identity=identify("old"))
        clock.advance(20 * DAY_SECONDS)
        await save(backend, {}, identity=identify("young"))
        clock.advance(11 * DAY_SECONDS)
        await drain(backend)
        assert (await save(backend, {}, identity=identify("young"))).replayed

    async def test_the_record_outlives_it(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {"a": 1}, identity=ME)
        clock.advance(31 * DAY_SECONDS)
        await drain(backend)
        assert await backend.get(1) == {"id": 1, "a": 1}
