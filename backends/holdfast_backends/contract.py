"""The contract of a backend. Its docstrings are the specification.

One primitive, `execute`; everything else is sugar on it (`methods.py`). A third party adds a
backend by writing a `Store` (`store.py`) and running `holdfast_backends.testing` against it.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from .capabilities import Capabilities
from .operations import Operation
from .outbox import Outbox
from .outcomes import Outcome

__all__ = ["Backend", "Capabilities"]


class Backend(Protocol):
    """A place where documents are kept."""

    @property
    def capabilities(self) -> Capabilities:
        """What this backend guarantees, as it is configured."""
        ...

    @property
    def outbox(self) -> Outbox:
        """The events of its changes."""
        ...

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Execute operations, and answer each with an outcome, in order.

        Operations take effect in the order given. The writes of one call commit together;
        still, one operation's failure never touches another's: a failure is that operation's
        outcome (`Failed`), and it changed nothing. When this returns, every write that
        succeeded is as durable as `capabilities` says, and its identity with it.

        A write whose identity is known is not executed: its first outcome is given again
        (`replayed`), or a `ConflictError` when the digest differs.

        Raises:
            UnavailableError: the store cannot be reached now. Writes may or may not have
                taken effect; those with an identity can safely be executed again.
        """
        ...

    async def sweep(self) -> int:
        """Remove what has expired (records, each with a `deleted` event; identities and published
        events past their retention), a bounded amount at a time; return how many. Called now
        and then by the service."""
        ...

    async def __aenter__(self) -> Self:
        """Connect, check the schema and the durability.

        Raises:
            SchemaError: the schema is not this version's.
            UnsafeStoreError: the store may lose acknowledged writes, and nobody allowed that.
            UnavailableError: the store cannot be reached.
        """
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
