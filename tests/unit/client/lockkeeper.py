"""An agent that keeps locks, for the client's tests: the contract's rules, in memory.

Its clock is that of the event loop, beside a wall clock that stands somewhere else.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.replies import Reply
from holdfast_protocol.times import format_time
from tests.unit.client.responder import Script, answering

_ELSEWHERE = datetime(2001, 1, 1, tzinfo=UTC)


@dataclass
class Held:
    owner: str
    token: int
    ends_at: float


class LockKeeper:
    """Who holds what; `asked` is what came, with its moment."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.asked: list[tuple[float, AgentMessage]] = []
        self._tokens = 0
        self._outcomes: dict[str, Reply] = {}

    @property
    def script(self) -> Script:
        return answering(self.answer)

    @property
    def actions(self) -> list[str]:
        return [message.action for _, message in self.asked]

    def moments(self, action: str) -> list[float]:
        return [moment for moment, message in self.asked if message.action == action]

    def take(self, name: str, lease_seconds: float, owner: str = "somebody") -> Held:
        """Somebody else takes it."""
        self._tokens += 1
        ends_at = asyncio.get_running_loop().time() + lease_seconds
        held = self.held[name] = Held(owner, self._tokens, ends_at)
        return held

    def answer(self, message: AgentMessage) -> Reply:
        now = asyncio.get_running_loop().time()
        self.asked.append((now, message))
        self.held = {name: held for name, held in self.held.items() if held.ends_at > now}
        if message.id not in self._outcomes:
            self._outcomes[message.id] = self._execute(message, now)
        return self._outcomes[message.id]

    def _execute(self, message: AgentMessage, now: float) -> Reply:
        name, lease = str(message.payload["name"]), message.payload.get("lease_seconds")
        held = self.held.get(name)
        if message.action == "lock_acquire":
            if held is not None:
                return _refused(message, owner=held.owner, retry_after_seconds=held.ends_at - now)
            assert isinstance(lease, int | float)
            owner = message.payload.get("owner") or message.sender or "anonymous"
            return self._state(message, name, self.take(name, lease, str(owner)))
        if held is None:
            return Reply.failure(message, "storage", "not_found", f"Nobody holds {name}")
        if message.action == "lock_get":
            return self._state(message, name, held)
        if held.token != message.payload["token"]:
            return _refused(message, current_token=held.token)
        if message.action == "lock_release":
            del self.held[name]
        else:
            assert isinstance(lease, int | float)
            held.ends_at = now + lease
        return self._state(message, name, held)

    def _state(self, message: AgentMessage, name: str, held: Held) -> Reply:
        expires_at = _ELSEWHERE + timedelta(seconds=held.ends_at)
        state: dict[str, JsonValue] = {
            "name": name,
            "owner": held.owner,
            "token": held.token,
            "acquired_at": format_time(_ELSEWHERE),
            "expires_at": format_time(expires_at),
        }
        return Reply.success(message, "storage", state)


def _refused(message: AgentMessage, **details: JsonValue) -> Reply:
    return Reply.failure(message, "storage", "conflict", "The lock is held", details)
