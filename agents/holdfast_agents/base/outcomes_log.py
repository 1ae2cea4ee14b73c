"""One line for each answered message, with what somebody looking for it would search by.

Successes are told at `debug` only: on the hot path a line costs more than the save it tells of.
"""

from collections.abc import Sequence

from holdfast_agents.logs import Logger
from holdfast_protocol.codec import Refusal
from holdfast_protocol.messages import AgentMessage

from .answers import Answer

_OURS = frozenset({"internal_error", "unavailable", "storage_error"})


class OutcomeLog:
    """Tells of answers."""

    def __init__(self, log: Logger, agent: str) -> None:
        self._log = log
        self._agent = agent
        self._tells_success = log.is_enabled_for(10)

    def tell(
        self, items: Sequence[AgentMessage | Refusal], answers: Sequence[Answer], seconds: float
    ) -> None:
        """A line for each answer; `seconds` is how long the batch took that it was part of."""
        for item, answer in zip(items, answers, strict=True):
            kind = answer.reply.error_type
            if kind is None:
                if self._tells_success:
                    self._log.debug("answered", **self._facts(item, "success", seconds))
            elif kind in _OURS:
                self._log.warning("failed", **self._facts(item, kind, seconds))
            else:
                self._log.info("answered", **self._facts(item, kind, seconds))

    def _facts(
        self, item: AgentMessage | Refusal, outcome: str, seconds: float
    ) -> dict[str, object]:
        return {
            "agent": self._agent,
            "action": item.action,
            "message_id": item.id,
            "correlation_id": item.correlation_id,
            "sender": item.sender,
            "outcome": outcome,
            "duration_ms": round(seconds * 1000, 3),
        }
