"""The payloads of the storage actions, from Python arguments. Absent is what is None."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from holdfast_protocol.actions import Fence

RecordId: TypeAlias = int | str


def present(**fields: object) -> dict[str, object]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def fence_fields(fence: Fence | None) -> dict[str, object] | None:
    """A fence as it travels."""
    return None if fence is None else {"lock": fence.lock, "token": fence.token}


def save_payload(
    document: Mapping[str, object],
    collection: str | None,
    if_version: int | None,
    ttl_seconds: float | None,
    fence: Fence | None = None,
) -> dict[str, object]:
    """For `storage_save`."""
    task = document if isinstance(document, dict) else dict(document)
    payload: dict[str, object] = {"task": task}
    if collection is not None:
        payload["collection"] = collection
    if if_version is not None:
        payload["if_version"] = if_version
    if ttl_seconds is not None:
        payload["ttl_seconds"] = ttl_seconds
    if fence is not None:
        payload["fence"] = fence_fields(fence)
    return payload


def update_payload(
    record_id: RecordId,
    changes: Mapping[str, object] | None,
    increment: Mapping[str, int | float] | None,
    append: Mapping[str, Sequence[object]] | None,
    collection: str | None,
    if_version: int | None,
    fence: Fence | None = None,
) -> dict[str, object]:
    """For `storage_update`."""
    lists = None if append is None else {path: list(values) for path, values in append.items()}
    return present(
        task_id=record_id,
        changes=None if changes is None else dict(changes),
        increment=None if increment is None else dict(increment),
        append=lists,
        collection=collection,
        if_version=if_version,
        fence=fence_fields(fence),
    )
