"""The storage agent: typed storage actions in, one execution on the backend for all of them."""

from collections.abc import Sequence

from holdfast_agents.base.agent import Agent
from holdfast_agents.base.work import Action, Aside, Done, TransientError
from holdfast_agents.logs import Logger
from holdfast_backends import Backend, StorageError, UnavailableError
from holdfast_protocol.actions import (
    EVENT_ACTIONS,
    LOCK_ACTIONS,
    STORAGE_ACTIONS,
    ActionSpec,
    Payload,
)
from holdfast_protocol.codec import Refusal
from holdfast_protocol.limits import MAX_RESPONSE_BYTES
from holdfast_protocol.messages import AgentMessage

from .event_answers import EventAnswers
from .requests import Translator, marked
from .results import rendered, translated
from .work import StorageWork

_WRITES = frozenset(name for name, spec in STORAGE_ACTIONS.items() if spec.writes)
_SLOW_ACTIONS = frozenset({"storage_list", "storage_query", "storage_count", "storage_collections"})


class StorageAgent(Agent[StorageWork]):
    """Keeps documents, locks and the events of their changes. All actions of the wire contract's
    section 6.

    Args:
        backend: where; the caller opens and closes it.
        response_limit: bytes that a page, and a batch's results, may have; at least 2 MiB.
        log: where it tells what went wrong.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        name: str = "storage",
        response_limit: int = MAX_RESPONSE_BYTES,
        log: Logger | None = None,
    ) -> None:
        translator = Translator(response_limit)
        events = EventAnswers(backend.outbox, response_limit)
        kept = (*STORAGE_ACTIONS.values(), *LOCK_ACTIONS.values())
        asked = EVENT_ACTIONS.values()
        actions = [
            *(Action(spec, translator.work, slow=spec.name in _SLOW_ACTIONS) for spec in kept),
            *(self._asked(spec, events) for spec in asked),
        ]
        super().__init__(name, actions, log=log)
        self._backend = backend

    @staticmethod
    def _asked(spec: ActionSpec, events: EventAnswers) -> Action[StorageWork]:
        def prepare(message: AgentMessage, payload: Payload) -> Aside:
            del message
            return Aside(lambda: events.answer(payload))

        return Action(spec, prepare, slow=True)

    def withdrawn(self, work: StorageWork) -> StorageWork | None:
        """A write that was executed already keeps its answer; another one never will be."""
        return marked(work, cancelled=True)

    def overdue(self, work: StorageWork) -> StorageWork | None:
        """A write that was executed already keeps its answer; another one is too late now."""
        return marked(work, deadline=0)

    async def perform(self, works: Sequence[StorageWork]) -> Sequence[Done[StorageWork]]:
        """Execute everything as one batch on the backend."""
        operations = [work.operation for work in works if work.operation is not None]
        try:
            outcomes = iter(await self._backend.execute(operations))
        except UnavailableError as error:
            raise TransientError(translated(error)) from error
        except StorageError as error:
            failed = translated(error)
            return [Done(failed) for _work in works]
        return [
            rendered(work, None if work.operation is None else next(outcomes)) for work in works
        ]

    def is_slow(self, item: AgentMessage | Refusal) -> bool:
        """Lists, queries and counts, and batches that only read."""
        if isinstance(item, AgentMessage) and item.action == "storage_batch":
            return _only_reads(item.payload.get("operations"))
        return super().is_slow(item)


def _only_reads(operations: object) -> bool:
    """Whether a batch, not yet checked, writes nothing: whatever is wrong in it counts as that."""
    return isinstance(operations, list) and not any(
        isinstance(operation, dict) and operation.get("action") in _WRITES
        for operation in operations
    )
