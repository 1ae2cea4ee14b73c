"""What travels between agents: envelopes, typed actions, codec, errors."""

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
