"""Locks: leases with fencing tokens, and the fence that a write may carry.

Every acquisition of a lock has a token, larger than all before it. A write that carries the
token as its `fence` is refused once the lease has ended or passed to somebody else.
Source: the wire contract, sections 6 and 10.
"""

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator

from holdfast_protocol.fields import (
    Identifier,
    LeaseSeconds,
    LockName,
    Time,
    Token,
    placed_error,
)
from holdfast_protocol.validation import MANY_FIELDS

from .payload import Payload
from .results import Result


class _LockPayload(Payload):
    name: LockName


class LockAcquire(_LockPayload):
    """Take a lock that nobody holds, for `lease_seconds`. Never re-entrant.

    `owner` only tells people who holds it: the sender by default.
    """

    lease_seconds: LeaseSeconds
    owner: Identifier | None = None


class LockRenew(_LockPayload):
    """Let a lease that is held end `lease_seconds` from now."""

    token: Token
    lease_seconds: LeaseSeconds


class LockRelease(_LockPayload):
    """Give a lock back before its lease ends."""

    token: Token


class LockGet(_LockPayload):
    """Who holds a lock, and until when."""


class Lock(Result):
    """A lock that is held: by whom, under which fencing token, and until when."""

    name: str
    owner: str
    token: Token
    acquired_at: Time
    expires_at: Time


class Fence(Payload):
    """A write holds only while the lease of `lock` under `token` does."""

    lock: LockName
    token: Token


def _few_fields(value: object) -> object:
    # An object of a million unknown fields must not become a million errors.
    if isinstance(value, dict) and len(value) > MANY_FIELDS:
        raise placed_error("has unknown fields")
    return value


GivenFence: TypeAlias = Annotated[Fence, BeforeValidator(_few_fields)]
