"""Comparing responses down to the field: what differs by nature is checked, then named."""

import re
from typing import Any

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MOMENTS = ("timestamp", "created_at", "updated_at", "expires_at", "acquired_at")


def settled(response: Any) -> Any:
    """The response with `"<uuid>"` and `"<moment>"` where each run has another value."""
    assert UUID7.fullmatch(response["id"]), response["id"]
    return _without_moments(response) | {"id": "<uuid>"}


def _without_moments(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_moments(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _moment_or(key, item) for key, item in value.items()}


def _moment_or(key: str, value: Any) -> Any:
    if key in _MOMENTS:
        assert MOMENT.fullmatch(value), value
        return "<moment>"
    return _without_moments(value)


def success(in_reply_to: str, result: Any, meta: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A settled response to a message that was done."""
    return _response(in_reply_to, fields) | {"status": "success", "result": result, "meta": meta}


def error(
    in_reply_to: str | None, error_type: str, text: str, details: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A settled response to a message that was not."""
    failed: dict[str, Any] = {"status": "error", "error": text, "error_type": error_type}
    if details is not None:
        failed["details"] = details
    return _response(in_reply_to, {}) | failed


def _response(in_reply_to: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "<uuid>",
        "in_reply_to": in_reply_to,
        "correlation_id": None,
        "sender": "storage",
        "timestamp": "<moment>",
        **fields,
    }
