"""A target that tests script."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from holdfast_protocol.errors import HoldfastError, NoRouteError
from holdfast_protocol.logs import LoggedExchange, write_exchange
from holdfast_protocol.messages import AgentMessage, AgentResponse

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class FakeTarget:
    """Answers every message of the agent `storage` with its payload, and keeps the batches."""

    def __init__(self) -> None:
        self.batches: list[list[AgentMessage]] = []
        self.moments: list[datetime] = []
        self.collections: list[JsonValue] = []
        self.failure: HoldfastError | None = None

    async def send(
        self, agent: str, messages: Sequence[AgentMessage], at: datetime
    ) -> Sequence[AgentResponse]:
        if agent != "storage":
            raise NoRouteError("not here")
        if [message.action for message in messages] == ["storage_collections"]:
            return [AgentResponse(status="success", result=self.collections)]
        if self.failure is not None:
            raise self.failure
        self.batches.append(list(messages))
        self.moments.append(at)
        return [answer_to(message) for message in messages]

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


def answer_to(message: AgentMessage) -> AgentResponse:
    """What the fake answers."""
    return AgentResponse(status="success", result=message.payload, in_reply_to=message.id)


def line(
    message: AgentMessage,
    response: AgentResponse | None = None,
    *,
    agent: str = "storage",
    at: datetime = MOMENT,
) -> bytes:
    """A line of a log; with the fake's own answer unless another is given."""
    return write_exchange(LoggedExchange(agent, message, response or answer_to(message), at))
