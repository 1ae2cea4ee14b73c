"""The storage agent: typed storage actions in, one execution on the backend for all of them."""

from collections.abc import Sequence

from holdfast_agents.base.agent import Action, Agent, Done, TransientError
from holdfast_agents.logs import Logger
from holdfast_backends import Backend, StorageError, UnavailableError
from holdfast_protocol.actions import STORAGE_ACTIONS, Payload
from holdfast_protocol.codec import Refusal
from holdfast_protocol.limits import MAX_RESPONSE_BYTES
from holdfast_protocol.messages import AgentMessage

from .requests import Translator
from .results import rendered, translated
from .work import StorageWork

_WRITES = frozenset(name for name, spec in STORAGE_ACTIONS.items() if spec.writes)
_SLOW_ACTIONS = frozenset({"storage_list", "storage_query", "storage_count", "storage_collections"})


class StorageAgent(Agent[StorageWork]):
    """Keeps documents. All actions of the wire contract's section 6.

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
        actions = [self._action(spec_name, translator) for spec_name in STORAGE_ACTIONS]
        super().__init__(name, actions, log=log)
        self._backend = backend

    @staticmethod
    def _action(name: str, translator: Translator) -> Action[StorageWork]:
        def prepare(message: AgentMessage, payload: Payload) -> StorageWork:
            return translator.work(message, payload)

        return Action(STORAGE_ACTIONS[name], prepare)

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
        if not isinstance(item, AgentMessage):
            return False
        return item.action in _SLOW_ACTIONS or (
            item.action == "storage_batch" and _only_reads(item.payload.get("operations"))
        )


def _only_reads(operations: object) -> bool:
    """Whether a batch, not yet checked, writes nothing: whatever is wrong in it counts as that."""
    return isinstance(operations, list) and not any(
        isinstance(operation, dict) and operation.get("action") in _WRITES
        for operation in operations
    )
