"""The closed list of error types as one exception tree.

    HoldfastError
    ├── ValidationError        validation_error   the message itself is wrong
    ├── UnknownActionError     unknown_action     the agent has no such action
    ├── NotFoundError          not_found          no such record
    ├── ConflictError          conflict           version, unique value or message id
    ├── ForbiddenError         forbidden          the sender may not do that
    ├── UnauthenticatedError   unauthenticated    the sender is not known
    ├── ExpiredError           expired            the deadline had passed
    ├── CancelledRequestError  cancelled          the sender cancelled it before its commit
    ├── TooLargeError          too_large          message, document or result over its limit
    ├── RateLimitedError       rate_limited       quota; details.retry_after_seconds
    ├── OverloadedError        overloaded         back-pressure; details.retry_after_seconds
    ├── UnavailableError       unavailable        the backend cannot be reached now
    ├── StorageFailedError     storage_error      any other failure of the backend
    ├── InternalError          internal_error     a defect of ours; details.reference
    ├── NoRouteError           no_route           client side: nobody is bound to the recipient
    ├── RequestTimeoutError    timeout            client side: no answer in time
    └── BusClosedError         closed             client side: the bus was closed

An agent answers with the `error_type`; the client raises the class of it (`error_from`).
Source: the wire contract, section 4.
"""

from typing import ClassVar

from pydantic import JsonValue


class HoldfastError(Exception):
    """Base of everything an agent may answer or a client may meet.

    `details` is machine-readable (JSON values); the text is one sentence a person can act on.
    """

    error_type: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, details: dict[str, JsonValue] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, JsonValue] = details or {}


class ValidationError(HoldfastError):
    error_type = "validation_error"


class UnknownActionError(HoldfastError):
    error_type = "unknown_action"


class NotFoundError(HoldfastError):
    error_type = "not_found"


class ConflictError(HoldfastError):
    error_type = "conflict"


class ForbiddenError(HoldfastError):
    error_type = "forbidden"


class UnauthenticatedError(HoldfastError):
    error_type = "unauthenticated"


class ExpiredError(HoldfastError):
    error_type = "expired"


class CancelledRequestError(HoldfastError):
    """The sender cancelled it before it was committed: nothing was done, and that is final."""

    error_type = "cancelled"


class TooLargeError(HoldfastError):
    error_type = "too_large"


class RateLimitedError(HoldfastError):
    error_type = "rate_limited"
    retryable = True


class OverloadedError(HoldfastError):
    error_type = "overloaded"
    retryable = True


class UnavailableError(HoldfastError):
    error_type = "unavailable"
    retryable = True


class StorageFailedError(HoldfastError):
    error_type = "storage_error"


class InternalError(HoldfastError):
    error_type = "internal_error"


class NoRouteError(HoldfastError):
    """Nobody is bound to the recipient; nothing was delivered."""

    error_type = "no_route"
    retryable = True


class RequestTimeoutError(HoldfastError):
    """No answer in time: the outcome is unknown, sending the same id again is safe."""

    error_type = "timeout"
    retryable = True


class BusClosedError(HoldfastError):
    """The bus was closed, or never opened, by this process."""

    error_type = "closed"


_BY_TYPE: dict[str, type[HoldfastError]] = {
    cls.error_type: cls
    for cls in (
        ValidationError,
        UnknownActionError,
        NotFoundError,
        ConflictError,
        ForbiddenError,
        UnauthenticatedError,
        ExpiredError,
        CancelledRequestError,
        TooLargeError,
        RateLimitedError,
        OverloadedError,
        UnavailableError,
        StorageFailedError,
        InternalError,
        NoRouteError,
        RequestTimeoutError,
        BusClosedError,
    )
}


def error_from(
    error_type: str, message: str, details: dict[str, JsonValue] | None = None
) -> HoldfastError:
    """The exception for an answered error; an unknown type (a later agent) is the base class."""
    return _BY_TYPE.get(error_type, HoldfastError)(message, details)
