"""Agents whose actions are plain coroutine functions."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

from holdfast_protocol.actions import (
    ActionSpec,
    Payload,
)
from holdfast_protocol.errors import (
    HoldfastError,
)
from holdfast_protocol.messages import AgentMessage

from .agent import Agent
from .answers import Result
from .work import Action, Done

P = TypeVar("P", bound=Payload)

Handler: TypeAlias = Callable[[AgentMessage, P], Awaitable[Result]]
Call: TypeAlias = Callable[[], Awaitable[Result]]


class SimpleAgent(Agent[Call]):
    """An agent whose actions are plain coroutine functions, run one after the other.

    Build its table with `handles`. A handler raises `HoldfastError` to answer with an error.
    """

    async def perform(self, works: Sequence[Call]) -> Sequence[Done[Call]]:
        """Await each handler."""
        return [Done(await _outcome(work)) for work in works]


def handles(spec: ActionSpec, payload: type[P], handler: Handler[P]) -> Action[Call]:
    """The row of a `SimpleAgent`'s table: this handler, with this typed payload."""

    def prepare(message: AgentMessage, parsed: Payload) -> Call:
        if not isinstance(parsed, payload):
            raise TypeError(f"{spec.name} takes {payload.__name__}")
        typed: P = parsed
        return lambda: handler(message, typed)

    return Action(spec, prepare)


async def _outcome(work: Call) -> Result | HoldfastError:
    try:
        return await work()
    except HoldfastError as error:
        return error
