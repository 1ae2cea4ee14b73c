"""The one place that knows what the driver raises, and what it means to us."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelLockedResource,
    ChannelPreconditionFailed,
    ConnectionClosed,
    ConnectionNotAllowed,
    DeliveryError,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)

from holdfast_protocol.errors import UnavailableError

_log = logging.getLogger("holdfast.bus")

_CLOSE_TIMEOUT = 3.0


class Resource(Protocol):
    """What the driver's connections and channels have in common."""

    @property
    def closing(self) -> "asyncio.Future[Any]": ...

    async def close(self, exc: BaseException) -> None: ...


class ConnectionLostError(Exception):
    """The connection or channel went away while we waited."""


class ConnectionRefusedByBrokerError(Exception):
    """The broker closed the connection while it was being opened."""


REFUSED = (
    AuthenticationError,
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    ConnectionRefusedByBrokerError,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)
"""What the broker will answer again: waiting does not help, somebody has to act."""

REFUSED_EVERYWHERE = (AuthenticationError, ConnectionNotAllowed, ProbableAuthenticationError)
"""Of these, what every node of a cluster answers."""


@contextmanager
def lost_connections() -> Iterator[None]:
    """Turns what the driver raises for a lost connection or channel into ConnectionLostError.

    What the broker refuses, and a returned or rejected publication, passes as it is. The
    driver also raises CancelledError at waiting callers when it gives a connection up: a
    cancellation that nobody asked of this task is such a loss.
    """
    task = asyncio.current_task()
    asked = task.cancelling() if task else 0
    try:
        yield
    except (DeliveryError, *REFUSED):
        raise
    except (AMQPError, ChannelInvalidStateError, ConnectionError) as error:
        raise ConnectionLostError(describe(error)) from error
    except asyncio.CancelledError as error:
        if task is None or task.cancelling() > asked:
            raise
        raise ConnectionLostError("given up by the driver") from error


def refusal(error: BaseException) -> UnavailableError:
    """What the broker refuses, as our error."""
    return UnavailableError(
        f"The broker refused: {describe(error)}", {"reason": type(error).__name__}
    )


def describe(error: BaseException | None) -> str:
    """Type and text for a log. The driver's texts name queues and hosts, never a password."""
    if error is None:
        return "closed"
    text = " ".join(str(part) for part in error.args if part)
    return f"{type(error).__name__} {text}".rstrip()


async def close_quietly(resource: Resource) -> None:
    """Close what is given up anyway, within 3 seconds; what goes wrong is only logged."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            with lost_connections():
                # Without a reason of ours the driver would cancel whoever still waits for it.
                await resource.close(ConnectionClosed(200, "closed by the client"))
    except Exception as error:  # noqa: BLE001 - it is being thrown away, but not in silence
        _log.debug("Closing failed: %s", describe(error))
