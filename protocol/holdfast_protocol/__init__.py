"""What is said between agents: envelopes, the client that sends them, the errors they raise."""

from .actions import Fence
from .client import AgentClient, HeldLock, Subscription
from .errors import (
    BusClosedError,
    CancelledRequestError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    HoldfastError,
    InternalError,
    NoRouteError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    RequestTimeoutError,
    StorageFailedError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnknownActionError,
    ValidationError,
)
from .events import ChangeEvent
from .messages import AgentMessage, AgentResponse

__all__ = [
    "AgentClient",
    "AgentMessage",
    "AgentResponse",
    "BusClosedError",
    "CancelledRequestError",
    "ChangeEvent",
    "ConflictError",
    "ExpiredError",
    "Fence",
    "ForbiddenError",
    "HeldLock",
    "HoldfastError",
    "InternalError",
    "NoRouteError",
    "NotFoundError",
    "OverloadedError",
    "RateLimitedError",
    "RequestTimeoutError",
    "StorageFailedError",
    "Subscription",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownActionError",
    "ValidationError",
]
