"""The lock actions as typed methods. Source: the wire contract, section 6."""

from typing import Unpack

from holdfast_protocol.actions import Lock
from holdfast_protocol.client.answers import parsed
from holdfast_protocol.client.asking import Requester, ask
from holdfast_protocol.client.composing import CallOptions
from holdfast_protocol.client.payloads import present


class LocksClient:
    """Leases with fencing tokens, step by step; `AgentClient.lock` does the whole of it.

    Every method takes the options of `AgentClient.request`, and raises what that raises and
    the typed error of the answer. `lease_seconds` is above 0 and at most 86,400.
    """

    def __init__(self, client: Requester, agent: str = "storage") -> None:
        self._client = client
        self._agent = agent

    async def acquire(
        self,
        name: str,
        *,
        lease_seconds: float,
        owner: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Lock:
        """Take a lock that nobody holds. The same `message_id` again is the same lease.

        `owner` (by default the sender) only tells people who holds it.

        Raises:
            ConflictError: it is held, perhaps by the same owner; `details` has `owner`,
                `expires_at` and `retry_after_seconds`.
        """
        payload = present(name=name, lease_seconds=lease_seconds, owner=owner)
        return await self._lock("lock_acquire", payload, options)

    async def renew(
        self, name: str, token: int, *, lease_seconds: float, **options: Unpack[CallOptions]
    ) -> Lock:
        """Let a lease that is held end `lease_seconds` from now.

        Raises:
            NotFoundError: nobody holds it any more.
            ConflictError: it is held under another token, `details.current_token`.
        """
        payload = present(name=name, token=token, lease_seconds=lease_seconds)
        return await self._lock("lock_renew", payload, options)

    async def release(self, name: str, token: int, **options: Unpack[CallOptions]) -> Lock:
        """Give a lock back; what it was. Raises as `renew`."""
        return await self._lock("lock_release", present(name=name, token=token), options)

    async def get(self, name: str, **options: Unpack[CallOptions]) -> Lock:
        """Who holds a lock, and until when. Raises NotFoundError when nobody does."""
        return await self._lock("lock_get", present(name=name), options)

    async def _lock(self, action: str, payload: dict[str, object], options: CallOptions) -> Lock:
        response = await ask(self._client, self._agent, action, payload, options)
        return parsed(Lock, response.result)
