"""What is said between agents: envelopes, the client that sends them, the errors they raise."""

from .client import AgentClient
from .errors import (
    BusClosedError,
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
from .messages import AgentMessage, AgentResponse

__all__ = [
    "AgentClient",
    "AgentMessage",
    "AgentResponse",
    "BusClosedError",
    "ConflictError",
    "ExpiredError",
    "ForbiddenError",
    "HoldfastError",
    "InternalError",
    "NoRouteError",
    "NotFoundError",
    "OverloadedError",
    "RateLimitedError",
    "RequestTimeoutError",
    "StorageFailedError",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownActionError",
    "ValidationError",
]
