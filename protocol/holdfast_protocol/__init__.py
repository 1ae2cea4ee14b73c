"""What travels between agents: envelopes, typed actions, codec, errors."""

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
