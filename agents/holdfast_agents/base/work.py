"""What an agent works with: the rows of its action table, and work before and after it is done."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from holdfast_protocol.actions import (
    ActionSpec,
    Payload,
)
from holdfast_protocol.errors import (
    HoldfastError,
)
from holdfast_protocol.messages import AgentMessage

from .answers import Position, Result

W = TypeVar("W")


class TransientError(Exception):
    """What the agent works with cannot be reached now; the same batch may succeed later.

    `error` is what to answer when it does not come back in time.
    """

    def __init__(self, error: HoldfastError) -> None:
        super().__init__(error.message)
        self.error = error


class Done(NamedTuple, Generic[W]):
    """What became of one piece of work: a result, or the error that it ended in."""

    outcome: Result | HoldfastError
    replayed: bool = False
    positions: Sequence[Position] = ()


@dataclass(frozen=True, slots=True)
class Aside:
    """Work that is no part of a batch: a call of its own, made beside the batches. It raises
    `HoldfastError` to answer with an error."""

    call: Callable[[], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Action(Generic[W]):
    """A row of the action table: what it takes, and how a checked message becomes work.

    `prepare` is called with the message and its typed payload. It decides whatever can be
    decided without executing, and raises `HoldfastError` to refuse. A `slow` action reads for
    long or answers much, and no order is promised of it: it runs beside the batches.
    """

    spec: ActionSpec
    prepare: Callable[[AgentMessage, Payload], W | Aside]
    slow: bool = False


class Prepared(NamedTuple, Generic[W]):
    """A message that passed every check, and the work that it asks for."""

    message: AgentMessage
    work: W | Aside
