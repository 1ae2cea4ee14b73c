"""What a journal is to the runner."""

from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Protocol, Self

from holdfast_agents.base.answers import Answer
from holdfast_protocol.codec import Refusal
from holdfast_protocol.messages import AgentMessage


class Journal(Protocol):
    """Keeps exchanges. An async context manager; open before use."""

    def record(
        self, agent: str, items: Sequence[AgentMessage | Refusal], answers: Sequence[Answer]
    ) -> Awaitable[bool]:
        """Take up exchanges that were executed, in the order of their execution, before the
        answers go out. What was no message is not recorded.

        The awaitable ends when they are kept (True) or could not be (False). A message is
        settled only then: one whose exchange was not kept comes again, is answered from its
        stored outcome, and recorded as that.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
