"""What the typed helpers need of a client: to ask, and to raise what is answered as an error."""

from collections.abc import Mapping
from typing import Protocol, Unpack

from holdfast_protocol.client.composing import CallOptions, ReadOptions
from holdfast_protocol.messages import AgentResponse


class Requester(Protocol):
    """What the helpers need of a client."""

    async def request(
        self,
        recipient: str,
        action: str,
        payload: Mapping[str, object] | None = None,
        **options: Unpack[CallOptions],
    ) -> AgentResponse: ...


async def ask(
    client: Requester,
    agent: str,
    action: str,
    payload: Mapping[str, object],
    options: ReadOptions,
) -> AgentResponse:
    """The successful answer. Raises what the request raises, and the answered error."""
    response = await client.request(agent, action, payload, **options)
    response.raise_for_error()
    return response
