"""Bad input to locks, fences, the events that are kept and dead letters."""

import json
from typing import Any

from tests.acceptance.hostile import BIG, Hostile, Payload

_NO_NAMES: list[Any] = ["", "$relay", "a\0b", "x" * 256, 1, None, ["a"], True]
_NO_LEASES: list[Any] = [0, -1, -0.5, 86_400.001, 1e300, "60", True, [60], None]
_NO_TOKENS: list[Any] = [0, -1, 1.0, "1", True, None, [1], BIG + 1]
_LEASE = {"name": "hostile", "lease_seconds": 60}


def _said(
    action: str, payload: Payload, *loc: str | int, error_type: str = "validation_error"
) -> Hostile:
    body = json.dumps({"action": action, "payload": payload}).encode()
    name = f"{action} {json.dumps(payload)}"
    # What no JSON of ours may hold is refused by the codec, which knows the whole message.
    place = ("payload", *loc) if str(BIG + 1) in name or "\\u0000" in name else loc
    return Hostile(name if len(name) <= 80 else f"{name[:60]}…{len(name)}", body, place, error_type)


_LOCKS = [
    _said("lock_acquire", {}, "name"),
    *(_said("lock_acquire", _LEASE | {"name": name}, "name") for name in _NO_NAMES),
    *(
        _said("lock_acquire", _LEASE | {"lease_seconds": lease}, "lease_seconds")
        for lease in _NO_LEASES
    ),
    *(
        _said("lock_acquire", _LEASE | {"owner": owner}, "owner")
        for owner in ("", "x" * 129, 1, "a\0")
    ),
    _said("lock_acquire", _LEASE | {"token": 1}, "token"),
    _said("lock_acquire", _LEASE | {"collection": "tasks"}, "collection"),
    *(_said("lock_renew", _LEASE | {"token": token}, "token") for token in _NO_TOKENS),
    *(
        _said(
            "lock_renew", {"name": "hostile", "token": 1, "lease_seconds": lease}, "lease_seconds"
        )
        for lease in _NO_LEASES
    ),
    _said("lock_renew", _LEASE | {"token": 1}, error_type="not_found"),
    *(_said("lock_release", {"name": "hostile", "token": token}, "token") for token in _NO_TOKENS),
    _said("lock_release", {"name": "hostile", "token": 1}, error_type="not_found"),
    *(_said("lock_get", {"name": name}, "name") for name in _NO_NAMES),
    _said("lock_get", {"name": "' OR 1=1 --"}, error_type="not_found"),
]

_FENCES: list[tuple[Any, tuple[str | int, ...]]] = [
    (1, ()),
    ("hostile", ()),
    ([], ()),
    ({}, ("lock",)),
    ({"lock": "hostile"}, ("token",)),
    ({"token": 1}, ("lock",)),
    ({"lock": "$relay", "token": 1}, ("lock",)),
    ({"lock": "", "token": 1}, ("lock",)),
    ({"lock": "hostile", "token": 0}, ("token",)),
    ({"lock": "hostile", "token": "1"}, ("token",)),
    ({"lock": "hostile", "token": 1, "owner": "me"}, ("owner",)),
    ({str(n): n for n in range(5_000)}, ()),
]
_GOOD = {"action": "storage_save", "payload": {"task": {}}}
_FENCED: dict[str, Payload] = {
    "storage_save": {"task": {}},
    "storage_update": {"task_id": 1, "changes": {}},
    "storage_delete": {"task_id": 1},
    "storage_batch": {"operations": [_GOOD]},
}
_FENCES_SAID = [
    *(
        _said(action, payload | {"fence": fence}, "fence", *place)
        for action, payload in _FENCED.items()
        for fence, place in _FENCES
    ),
    *(
        _said(action, payload | {"fence": {"lock": "never", "token": 1}}, error_type="conflict")
        for action, payload in _FENCED.items()
    ),
    _said("storage_get", {"task_id": 1, "fence": {"lock": "a", "token": 1}}, "fence"),
    _said("storage_batch", {"operations": [{"action": "lock_get", "payload": {"name": "a"}}]}),
]

_EVENTS = [
    *(_said("storage_events", {"after": after}, "after") for after in (-1, 1.0, "1", True)),
    *(_said("storage_events", {"limit": limit}, "limit") for limit in (0, -1, 1_001, 1.0, "1")),
    *(
        _said("storage_events", {"collection": name}, "collection")
        for name in ("", "$locks", "Tasks", "a b", 1)
    ),
    _said("storage_events", {"kind": "created"}, "kind"),
    _said("storage_positions", {"collection": "tasks"}, "collection"),
]

HOSTILE_LEASES: list[Hostile] = [*_LOCKS, *_FENCES_SAID, *_EVENTS]
