"""The store itself: opening it, and handing out snapshots and units."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from holdfast_backends.contract import Capabilities
from holdfast_backends.errors import SchemaError, StorageError
from holdfast_backends.store import (
    Changes,
    EventRow,
    Head,
    IndexSlot,
    Scanned,
    Snapshot,
    Span,
    Unit,
)
from holdfast_backends.values import INTERNAL

from .address import parse_address
from .client import Argument, RedisClient, Reply, items, number, texts
from .durability import Finding
from .layout import ALL, FORMER_VERSION, VERSION, Layout, unpack_event, unpack_head
from .leases import Conflicts, Lease
from .scripts import FORGET, FORGET_EVENTS, MARK, MAX_ARGUMENTS, PROBE, READ, Script
from .snapshot import RedisSnapshot
from .turns import Turns
from .unit import RedisUnit

_LEASE_AFTER_WRITES = 2
_LEASE_AFTER_READS = 3
_PATIENCE = 15.0  # seconds to wait for a turn


class RedisStore:
    """See store.Store. Redis 6.2 or later, without modules; several processes may share one.

    Args:
        url: as `address.py` describes it.
        namespace: what its keys begin with, where the URL does not say; nobody else may use such
            keys.
        allow_unsafe: open also a server that may lose acknowledged writes; `capabilities` then
            say so.
        timeout: seconds to wait for a connection, a free one of the pool, an answer.
        connections: how many connections at most.

    Raises:
        InvalidValueError: the URL or the namespace is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str | None = None,
        allow_unsafe: bool = False,
        timeout: float = 5.0,
        connections: int = 16,
    ) -> None:
        self._address = parse_address(url, namespace)
        self._layout = Layout(self._address.namespace)
        self._allow_unsafe = allow_unsafe
        self._timeout = timeout
        self._connections = connections
        self._opened: RedisClient | None = None
        self._turns = Turns(_PATIENCE)
        self._conflicts = Conflicts()
        self._findings: tuple[Finding, ...] = ()

    @property
    def capabilities(self) -> Capabilities:
        """See store.Store."""
        return Capabilities(
            durable=all(finding.survivable for finding in self.findings),
            crash_safe=not self.findings,
            shared=True,
            indexes=True,
            survives_failover=False,  # replicas are told after the answer, and WAIT is no vote
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What of the server's configuration may lose acknowledged writes; known once open.

        After a failover, it is the new master's configuration."""
        if self._opened is not None:
            self._findings = self._opened.findings
        return self._findings

    @asynccontextmanager
    async def read(self, *, single: bool = False) -> AsyncIterator[Snapshot]:
        """See store.Store. Others may write meanwhile; a read that they disturb three times
        makes them wait. A single read costs no less here."""
        del single
        client, crowded = self._client, self._conflicts.count() >= _LEASE_AFTER_READS
        await self._conflicts.pause()
        with self._conflicts.watched(_LEASE_AFTER_READS):
            if not crowded:
                yield RedisSnapshot(client, self._layout)
                return
            lease = Lease(client, [self._layout.lease(ALL)])
            async with self._turns.on_everything(), lease.held():
                yield RedisSnapshot(client, self._layout, lease)

    @asynccontextmanager
    async def write(
        self, collections: Sequence[str], *, everything: bool = False
    ) -> AsyncIterator[Unit]:
        """See store.Store. Units of this process queue; towards others they are optimistic, and
        one that others disturb twice makes them wait."""
        client, crowded = self._client, self._conflicts.count() >= _LEASE_AFTER_WRITES
        await self._conflicts.pause()
        async with AsyncExitStack() as stack:
            stack.enter_context(self._conflicts.watched(_LEASE_AFTER_WRITES))
            turns = self._turns
            turn = turns.on_everything() if everything else turns.on(collections)
            await stack.enter_async_context(turn)
            lease = None
            if crowded:
                lease = self._lease(client, collections, everything)
                await stack.enter_async_context(lease.held())
            yield RedisUnit(client, self._layout, lease, everything=everything)

    async def append(self, collection: str, expected: Head, prepare: Callable[[], Changes]) -> bool:
        """See store.Store; not worth it here: a unit costs one round trip more."""
        del collection, expected, prepare
        return False

    async def scan_once(
        self, span: Span, limit: int, declared: tuple[IndexSlot, ...]
    ) -> Scanned | None:
        """See store.Store; not worth it here: a snapshot costs one round trip more."""
        del span, limit, declared
        return None

    async def heads(self) -> Mapping[str, Head]:
        """See store.Store."""
        arguments: list[Argument] = [b"HGETALL", 1, 0]
        reply = await self._client.call(READ, [self._layout.heads], arguments)
        return {name: unpack_head(packed) for name, packed in _hash(items(reply)[0]).items()}

    async def events(self, collection: str, after: int, limit: int) -> Sequence[EventRow]:
        """See store.Store; one round trip."""
        query: list[Argument] = [b"(%d" % after, b"+inf", b"LIMIT", 0, limit]
        arguments: list[Argument] = [b"ZRANGEBYSCORE", 1, len(query), *query]
        reply = await self._client.call(READ, [self._layout.events(collection)], arguments)
        return [unpack_event(packed) for packed in texts(items(reply)[0])]

    async def unpublished(self) -> Mapping[str, int]:
        """See store.Store; one round trip."""
        keys = [self._layout.heads, self._layout.published]
        arguments: list[Argument] = [b"HGETALL", 1, 0, b"HGETALL", 2, 0]
        heads, published = items(await self._client.call(READ, keys, arguments))
        marks = {name: int(mark) for name, mark in _hash(published).items()}
        return {
            name: marks.get(name, 0)
            for name, packed in _hash(heads).items()
            if not name.startswith(INTERNAL) and unpack_head(packed).sequence > marks.get(name, 0)
        }

    async def mark_published(self, marks: Mapping[str, int]) -> None:
        """See store.Store; it also works when the server's memory is used up."""
        arguments: list[Argument] = []
        for name, mark in marks.items():
            arguments += (name.encode(), mark)
        for first in range(0, len(arguments), MAX_ARGUMENTS):
            chunk = arguments[first : first + MAX_ARGUMENTS]
            await self._client.call(MARK, [self._layout.published, self._layout.heads], chunk)

    async def forget_events(self, collection: str, upto: int, limit: int) -> int:
        """See store.Store."""
        return await self._forget(FORGET_EVENTS, [self._layout.events(collection)], upto, limit)

    async def forget_replies(self, before: int, limit: int) -> int:
        """See store.Store."""
        keys = [self._layout.replies, self._layout.reply_times]
        return await self._forget(FORGET, keys, before, limit)

    async def _forget(self, script: Script, keys: Sequence[bytes], bound: int, limit: int) -> int:
        """Remove in parts, so that no script keeps the server long from others."""
        forgotten = 0
        while forgotten < limit:
            chunk = min(limit - forgotten, MAX_ARGUMENTS)
            count = number(await self._client.call(script, keys, [bound, chunk]))
            forgotten += count
            if count < chunk:
                break
        return forgotten

    async def __aenter__(self) -> Self:
        """Connect, and check the server.

        Raises:
            UnsafeStoreError: it may lose acknowledged writes, and that was not allowed.
            SchemaError: the namespace holds another version's data, or the server is too old.
            UnavailableError: it cannot be reached.
            StorageError: it refuses the account, or what the account may do is not enough.
        """
        client = RedisClient(
            self._address,
            allow_unsafe=self._allow_unsafe,
            connections=self._connections,
            timeout=self._timeout,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(client.close)
            await self._check_layout(client)
            stack.pop_all()
        self._opened = client
        self._turns = Turns(_PATIENCE)  # anew: its locks belong to this event loop
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        self._findings = self.findings
        client, self._opened = self._opened, None
        if client is not None:
            await client.close()

    async def _check_layout(self, client: RedisClient) -> None:
        keys = [self._layout.version, *self._layout.probes, self._layout.former_lease]
        if await client.call(PROBE, keys, [VERSION, FORMER_VERSION]) != VERSION:
            raise SchemaError("this namespace holds the data of another version")

    @property
    def _client(self) -> RedisClient:
        if self._opened is None:
            raise StorageError("the store is not open")
        return self._opened

    def _lease(self, client: RedisClient, collections: Sequence[str], everything: bool) -> Lease:
        everybody = self._layout.lease(ALL)
        if everything:
            return Lease(client, [everybody])
        own = [self._layout.lease(name.encode()) for name in collections]
        return Lease(client, own, [everybody])


def _hash(reply: Reply) -> dict[str, bytes]:
    """A whole hash, by collection."""
    pairs = texts(reply)
    return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
