"""Recording a message log: what an agent was told and what it answered, as it executed it."""

from collections.abc import Sequence

from holdfast_agents.base.answers import Answer
from holdfast_protocol.codec import Refusal
from holdfast_protocol.logs import LoggedExchange, LogWriter
from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.times import utc_now


class Recorder:
    """An observer of the runner (`ServiceOptions.observer`) that appends to a log.

    Exchanges stand in the order of their execution, those of one batch with one moment, so
    that a replay can repeat them as they were. What was no message is not recorded. The
    recorded response has an `id` and a `timestamp` of its own.
    """

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self.recorded = 0

    def __call__(
        self, agent: str, items: Sequence[AgentMessage | Refusal], answers: Sequence[Answer]
    ) -> None:
        """Append the exchanges of a batch. Raises OSError when the log cannot be written."""
        now = utc_now()
        for item, answer in zip(items, answers, strict=True):
            if isinstance(item, AgentMessage):
                self._log.write(LoggedExchange(agent, item, answer.reply.to_response(), now))
                self.recorded += 1
