"""The payloads of the locks, and fences on writes (wire contract, sections 6 and 10)."""

import pytest
from pydantic import JsonValue

from holdfast_protocol.actions import (
    Fence,
    Lock,
    LockAcquire,
    LockGet,
    LockRelease,
    LockRenew,
    Payload,
    StorageBatch,
    StorageDelete,
    StorageSave,
    StorageUpdate,
)
from tests.unit.protocol.payload_checks import parse, refuse

LOCKS: list[tuple[type[Payload], dict[str, JsonValue]]] = [
    (LockAcquire, {"name": "a", "lease_seconds": 30}),
    (LockRenew, {"name": "a", "token": 1, "lease_seconds": 30}),
    (LockRelease, {"name": "a", "token": 1}),
    (LockGet, {"name": "a"}),
]
FENCED: list[tuple[type[Payload], dict[str, JsonValue]]] = [
    (StorageSave, {"task": {}}),
    (StorageUpdate, {"task_id": 1, "changes": {}}),
    (StorageDelete, {"task_id": 1}),
    (StorageBatch, {"operations": [{"action": "storage_list"}]}),
]


@pytest.mark.parametrize(("model", "payload"), LOCKS)
@pytest.mark.parametrize("name", ["a", "deploy/eu", "x" * 255, "😀" * 255, " ", "a$", "\n"])
def test_names(model: type[Payload], payload: dict[str, JsonValue], name: str) -> None:
    assert parse(model, {**payload, "name": name}).model_dump()["name"] == name


@pytest.mark.parametrize(("model", "payload"), LOCKS)
@pytest.mark.parametrize("name", ["", "$a", "x" * 256, "a\0", 1, None, True, [], {}])
def test_other_names_are_refused(
    model: type[Payload], payload: dict[str, JsonValue], name: JsonValue
) -> None:
    assert refuse(model, {**payload, "name": name}) == [["name"]]


@pytest.mark.parametrize(("model", "payload"), LOCKS)
def test_unknown_and_missing_fields_are_refused(
    model: type[Payload], payload: dict[str, JsonValue]
) -> None:
    assert refuse(model, {**payload, "collection": "x"}) == [["collection"]]
    assert refuse(model, {}) == [[name] for name in payload]


@pytest.mark.parametrize(("model", "payload"), LOCKS[:2])
@pytest.mark.parametrize("lease", [0.001, 1, 86_400, 86_400.0])
def test_leases(model: type[Payload], payload: dict[str, JsonValue], lease: float) -> None:
    assert parse(model, {**payload, "lease_seconds": lease}).model_dump()["lease_seconds"] == lease


@pytest.mark.parametrize(("model", "payload"), LOCKS[:2])
@pytest.mark.parametrize(
    "lease", [0, -1, -0.0, 86_400.1, 86_401, 2**70, 1e308, True, "30", float("nan"), float("inf")]
)
def test_negative_and_enormous_leases_are_refused(
    model: type[Payload], payload: dict[str, JsonValue], lease: JsonValue
) -> None:
    assert refuse(model, {**payload, "lease_seconds": lease}) == [["lease_seconds"]]


@pytest.mark.parametrize(("model", "payload"), LOCKS[1:3])
@pytest.mark.parametrize("token", [0, -1, 2**63, 1.0, "1", True, None])
def test_other_tokens_are_refused(
    model: type[Payload], payload: dict[str, JsonValue], token: JsonValue
) -> None:
    assert parse(model, {**payload, "token": 2**63 - 1}).model_dump()["token"] == 2**63 - 1
    assert refuse(model, {**payload, "token": token}) == [["token"]]


@pytest.mark.parametrize("owner", ["", "x" * 129, 5, "a\0"])
def test_owners_are_identifiers(owner: JsonValue) -> None:
    payload = LOCKS[0][1]
    assert parse(LockAcquire, payload).owner is None
    assert parse(LockAcquire, {**payload, "owner": "x" * 128}).owner == "x" * 128
    assert refuse(LockAcquire, {**payload, "owner": owner}) == [["owner"]]


def test_a_lock_is_read_from_its_answer() -> None:
    told = {"name": "a", "owner": "o", "token": 3, "later": 1}
    times = {"acquired_at": "2026-01-02T03:04:05Z", "expires_at": "2026-01-02T03:04:35Z"}
    lock = Lock.model_validate({**told, **times})
    assert (lock.name, lock.owner, lock.token) == ("a", "o", 3)
    assert (lock.expires_at - lock.acquired_at).total_seconds() == 30


@pytest.mark.parametrize(("model", "payload"), FENCED)
class TestFences:
    def test_a_write_may_have_one(
        self, model: type[Payload], payload: dict[str, JsonValue]
    ) -> None:
        fenced = parse(model, {**payload, "fence": {"lock": "a", "token": 7}})
        assert getattr(fenced, "fence", None) == Fence(lock="a", token=7)

    def test_null_is_absent(self, model: type[Payload], payload: dict[str, JsonValue]) -> None:
        assert parse(model, {**payload, "fence": None}) == parse(model, payload)

    @pytest.mark.parametrize(
        ("fence", "place"),
        [
            ({"lock": "a", "token": 0}, ["fence", "token"]),
            ({"lock": "a", "token": 1.0}, ["fence", "token"]),
            ({"lock": "a", "token": None}, ["fence", "token"]),
            ({"lock": "a"}, ["fence", "token"]),
            ({"lock": "$a", "token": 1}, ["fence", "lock"]),
            ({"token": 1}, ["fence", "lock"]),
            ({"lock": "a", "token": 1, "more": 1}, ["fence", "more"]),
            ("a", ["fence"]),
            (7, ["fence"]),
            ([], ["fence"]),
        ],
    )
    def test_others_are_refused_where_they_are_wrong(
        self,
        model: type[Payload],
        payload: dict[str, JsonValue],
        fence: JsonValue,
        place: list[JsonValue],
    ) -> None:
        assert refuse(model, {**payload, "fence": fence}) == [place]

    def test_many_unknown_fields_are_one_error(
        self, model: type[Payload], payload: dict[str, JsonValue]
    ) -> None:
        many: JsonValue = {f"f{n}": n for n in range(1_000)}
        assert refuse(model, {**payload, "fence": many}) == [["fence"]]
