"""An agent: a name, a table of typed actions, and the order in which a message is checked.

The checks run as the wire contract (section 10) says: envelope (the codec's), recipient, action,
access, payload, deadline; then execution. All messages of a batch are executed together.
"""

import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from types import MappingProxyType
from typing import Final, Generic, TypeVar, cast

from pydantic import JsonValue

from holdfast_agents.logs import Logger, quiet_logger
from holdfast_protocol.actions import (
    COMMON_ACTIONS,
    ActionDescription,
    Description,
    Pong,
    Statistics,
    parse_payload,
)
from holdfast_protocol.codec import Refusal
from holdfast_protocol.errors import (
    CancelledRequestError,
    ExpiredError,
    HoldfastError,
    InternalError,
    UnknownActionError,
    ValidationError,
)
from holdfast_protocol.messages import AgentMessage, AgentResponse
from holdfast_protocol.replies import RawJson

from .answers import Answer, Result, failure, success, told_too_late
from .cancelling import Cancellations
from .work import Action, Aside, Done, Prepared, TransientError

W = TypeVar("W")
_EXPIRED: Final = "The deadline had passed; this delivery was not executed"
_CANCELLED: Final = "The sender cancelled it before it was executed"


class Agent(ABC, Generic[W]):
    """Base of all agents. A subclass gives its action table and performs prepared work.

    Args:
        name: lower-case, the first word of its routing keys.
        actions: what it can do besides ping, describe and stats.
        log: where it tells what went wrong; nothing below warnings by default.
    """

    def __init__(
        self, name: str, actions: Iterable[Action[W]], *, log: Logger | None = None
    ) -> None:
        self.name = name
        self._actions: Mapping[str, Action[W]] = MappingProxyType(
            {action.spec.name: action for action in actions}
        )
        self._log = log if log is not None else quiet_logger()
        self._described: RawJson | None = None
        self.cancellations = Cancellations()
        self._counters: Counter[str] = Counter()
        self._started_at = datetime.now(UTC)
        self._started = monotonic()

    @abstractmethod
    async def perform(self, works: Sequence[W]) -> Sequence[Done[W]]:
        """Do all of it, and say of each what became of it, in order.

        Raises:
            TransientError: nothing is known to be done; the whole may be performed again.
        """

    def is_slow(self, item: AgentMessage | Refusal) -> bool:
        """Whether a message may run for long or answer much: a read of which no order is
        promised. Such messages are executed a few at a time, beside the others where they came
        without them."""
        row = self._actions.get(item.action) if isinstance(item, AgentMessage) else None
        return row is not None and row.slow

    def withdrawn(self, work: W) -> W | None:
        """What is left to do for work that its sender cancelled: to find out whether it was done
        before, and otherwise to see to it that it never will be. None where nothing is."""
        del work
        return None

    def overdue(self, work: W) -> W | None:
        """What is left to do for work whose deadline has passed: to find out whether it was done
        before, for then its answer holds, however late it is. None where nothing is."""
        del work
        return None

    def extend(self, actions: Iterable[Action[W]]) -> None:
        """Give the agent more actions, before it serves."""
        more = {action.spec.name: action for action in actions}
        self._actions = MappingProxyType({**self._actions, **more})
        self._described = None

    # -- for callers ---------------------------------------------------------------------------

    async def handle_message(self, message: AgentMessage) -> AgentResponse:
        """Answer one message. Whatever goes wrong is in the response."""
        return (await self.handle_messages([message]))[0]

    async def handle_messages(self, messages: Sequence[AgentMessage]) -> list[AgentResponse]:
        """Answer messages, in their order; they are executed together."""
        prepared = self.prepare(messages)
        try:
            answers = await self.execute(prepared)
        except TransientError as transient:
            answers = self.give_up(prepared, transient.error)
        return [answer.reply.to_response() for answer in answers]

    def prepare(self, items: Sequence[AgentMessage | Refusal]) -> list[Prepared[W] | Answer]:
        """All checks: the work of each item, or the answer that needs none. Executes nothing."""
        now = datetime.now(UTC)
        return [
            self._refused(item) if isinstance(item, Refusal) else self._check(item, now)
            for item in items
        ]

    async def execute(
        self,
        prepared: Sequence[Prepared[W] | Answer],
        *,
        after: TransientError | None = None,
    ) -> list[Answer]:
        """An answer for each prepared item, in order.

        Args:
            after: what the attempt before this one ended in. It may have executed them all the
                same, so a deadline that passed meanwhile is answered with its error: nobody
                knows that nothing was done.

        Raises:
            TransientError: nothing is known to be done; ask again, or `give_up`.
        """
        now = datetime.now(UTC)
        current = [self._still_wanted(item, now, after) for item in prepared]
        pending = [item for item in current if isinstance(item, Prepared)]
        done = iter(await self._all_done(pending))
        answers = [item if isinstance(item, Answer) else next(done) for item in current]
        if self.cancellations:
            answers = [self._too_late(*pair) for pair in zip(prepared, answers, strict=True)]
        return self._counted(answers)

    def give_up(
        self, prepared: Sequence[Prepared[W] | Answer], error: HoldfastError
    ) -> list[Answer]:
        """The answers to messages that could not be executed in time."""
        return self._counted(
            [
                item
                if isinstance(item, Answer)
                else failure(item.message, self.name, error, refused=True)
                for item in prepared
            ]
        )

    # -- the checks ----------------------------------------------------------------------------

    def _refused(self, refusal: Refusal) -> Answer:
        return Answer(refusal.to_reply(self.name), refused=True, action=refusal.action)

    def _check(self, message: AgentMessage, now: datetime) -> Prepared[W] | Answer:
        try:
            if message.recipient is not None and message.recipient != self.name:
                raise _wrong_recipient(self.name)
            if message.action in COMMON_ACTIONS:
                parse_payload(COMMON_ACTIONS[message.action], message.payload)
                if _is_late(message, now):
                    raise ExpiredError(_EXPIRED)
                return success(message, self.name, self._common(message.action))
            action = self._actions.get(message.action)
            if action is None:
                raise UnknownActionError(f"Unknown action: {message.action}")
            work = action.prepare(message, parse_payload(action.spec, message.payload))
            if _is_late(message, now):
                work = self._overdue(work)
        except HoldfastError as error:
            return failure(message, self.name, error, refused=True)
        except Exception as error:  # noqa: BLE001 — one defect must not take the batch with it
            return failure(message, self.name, self._defect(message, error))
        return Prepared(message, work)

    def _still_wanted(
        self, item: Prepared[W] | Answer, now: datetime, after: TransientError | None
    ) -> Prepared[W] | Answer:
        """Look at the deadline once more, and for a cancellation: the message may have waited."""
        if isinstance(item, Answer):
            return item
        if self.cancellations and self.cancellations.holds(item.message):
            return self._withdrawn(item, after)
        if _is_late(item.message, now):
            if after is not None:
                return failure(item.message, self.name, after.error, refused=True)
            try:
                return Prepared(item.message, self._overdue(item.work))
            except ExpiredError as expired:
                return failure(item.message, self.name, expired, refused=True)
        return item

    def _overdue(self, work: W | Aside) -> W:
        """What is left to do for work that came too late. Raises ExpiredError where nothing is."""
        left = None if isinstance(work, Aside) else self.overdue(work)
        if left is None:
            raise ExpiredError(_EXPIRED)
        return left

    def _withdrawn(self, item: Prepared[W], after: TransientError | None) -> Prepared[W] | Answer:
        work = None if isinstance(item.work, Aside) else self.withdrawn(item.work)
        if work is not None:
            return Prepared(item.message, work)
        if after is not None:
            return failure(item.message, self.name, after.error, refused=True)
        return failure(item.message, self.name, CancelledRequestError(_CANCELLED))

    def _too_late(self, item: Prepared[W] | Answer, answer: Answer) -> Answer:
        """Say so in an answer whose message was cancelled after it was executed."""
        cancelled = CancelledRequestError.error_type
        if isinstance(item, Answer) or answer.refused or answer.reply.error_type == cancelled:
            return answer
        return told_too_late(answer) if self.cancellations.holds(item.message) else answer

    async def _all_done(self, pending: Sequence[Prepared[W]]) -> list[Answer]:
        """The batch as one, then the calls that are no part of it."""
        if not any(isinstance(item.work, Aside) for item in pending):
            return await self._performed(pending)
        batch = [item for item in pending if not isinstance(item.work, Aside)]
        done = iter(await self._performed(batch))
        return [
            await self._called(item.message, item.work)
            if isinstance(item.work, Aside)
            else next(done)
            for item in pending
        ]

    async def _called(self, message: AgentMessage, work: Aside) -> Answer:
        try:
            return success(message, self.name, await work.call())
        except HoldfastError as error:
            return failure(message, self.name, error)
        except Exception as error:  # noqa: BLE001 — a defect is answered, and the next served
            return failure(message, self.name, self._defect(message, error))

    async def _performed(self, pending: Sequence[Prepared[W]]) -> list[Answer]:
        if not pending:
            return []
        try:
            works = [item.work for item in pending]
            done = await self.perform(cast("list[W]", works))  # the calls are none of them
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001 — a defect is answered, and the next served
            if len(pending) > 1:
                # Only the message that meets the defect is to suffer from it.
                return [(await self._performed([item]))[0] for item in pending]
            message = pending[0].message
            return [failure(message, self.name, self._defect(message, error))]
        return [self._answer_of(item.message, one) for item, one in zip(pending, done, strict=True)]

    def _answer_of(self, message: AgentMessage, done: Done[W]) -> Answer:
        positions = done.positions
        if isinstance(done.outcome, HoldfastError):
            error = done.outcome
            return failure(
                message,
                self.name,
                error,
                refused=isinstance(error, ExpiredError),
                replayed=done.replayed,
                positions=positions,
            )
        result = done.outcome
        if done.replayed:
            result = Result(result.value, {**result.meta, "replayed": True})
        return success(message, self.name, result, positions)

    def _defect(self, message: AgentMessage, error: Exception) -> InternalError:
        """Say nothing of the inside; leave a reference that stands in the log."""
        reference = uuid.uuid4().hex
        self._log.error(
            "defect",
            agent=self.name,
            action=message.action,
            message_id=message.id,
            correlation_id=message.correlation_id,
            reference=reference,
            exc_info=error,
        )
        return InternalError(
            f"The {self.name} agent failed; its log has more under the reference",
            {"reference": reference},
        )

    # -- what every agent answers --------------------------------------------------------------

    def _common(self, action: str) -> Result:
        if action == "agent_ping":
            return _modelled(Pong(agent=self.name, timestamp=datetime.now(UTC)))
        if action == "agent_describe":
            if self._described is None:  # it takes long to make, and never changes
                self._described = RawJson(self._description().model_dump_json().encode())
            return Result(self._described)
        return _modelled(self.statistics())

    def _description(self) -> Description:
        specs = [*COMMON_ACTIONS.values(), *(row.spec for row in self._actions.values())]
        described = [
            ActionDescription(
                action=spec.name,
                summary=spec.summary,
                writes=spec.writes,
                payload=spec.payload_schema(),
                result=spec.result_schema(),
            )
            for spec in sorted(specs, key=lambda spec: spec.name)
        ]
        return Description(agent=self.name, version=_version(), actions=described)

    def statistics(self) -> Statistics:
        """How many messages of each outcome were answered since the process began."""
        return Statistics(
            agent=self.name,
            started_at=self._started_at,
            uptime_seconds=monotonic() - self._started,
            counters=dict(sorted(self._counters.items())),
        )

    def _counted(self, answers: list[Answer]) -> list[Answer]:
        counters = self._counters
        for answer in answers:
            counters[answer.reply.error_type or "success"] += 1
        counters["messages"] += len(answers)
        counters["batches"] += 1
        return answers


def _is_late(message: AgentMessage, now: datetime) -> bool:
    return message.deadline is not None and message.deadline <= now


def _wrong_recipient(name: str) -> ValidationError:
    errors: list[JsonValue] = [{"loc": ["recipient"], "msg": f"this agent is {name}"}]
    return ValidationError(f"This message is not for the {name} agent", {"errors": errors})


def _modelled(model: Pong | Description | Statistics) -> Result:
    return Result(model.model_dump(mode="json"))


def _version() -> str:
    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "unknown"
