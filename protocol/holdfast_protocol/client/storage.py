"""Typed helpers for the storage actions. Source: the wire contract, section 6."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias, Unpack

from holdfast_protocol.actions import CollectionCount, Fence, IndexState
from holdfast_protocol.client.answers import listed, parsed, unexpected
from holdfast_protocol.client.asking import Requester, ask
from holdfast_protocol.client.batches import Batch
from holdfast_protocol.client.composing import CallOptions, ReadOptions
from holdfast_protocol.client.payloads import (
    RecordId,
    fence_fields,
    present,
    save_payload,
    update_payload,
)
from holdfast_protocol.client.queries import Query
from holdfast_protocol.client.records import (
    Outcome,
    Page,
    Record,
    outcomes_of,
    page_of,
    record_of,
)
from holdfast_protocol.messages import AgentResponse

Sort: TypeAlias = Sequence[tuple[str, Literal["asc", "desc"]]]
# Inside the class `list` is a method.
_Operations: TypeAlias = list[dict[str, object]]
_Outcomes: TypeAlias = list[Outcome]
_Collections: TypeAlias = list[CollectionCount]


class StorageClient:
    """The storage actions as methods. They raise what the agent answers as an error.

    `agent` is the name of an agent that answers the storage actions. `collection` is the
    agent's default, `tasks`, where it is not given. Every method takes the options of
    `AgentClient.request`, and raises what that raises and the typed error of the answer.
    """

    def __init__(self, client: Requester, agent: str = "storage") -> None:
        self._client = client
        self._agent = agent

    async def save(
        self,
        document: Mapping[str, object],
        *,
        collection: str | None = None,
        if_version: int | None = None,
        ttl_seconds: float | None = None,
        fence: Fence | None = None,
        **options: Unpack[CallOptions],
    ) -> Record:
        """Create a record, or replace the one with the document's `id`.

        Without an `id` the record gets the collection's next integer. `if_version` is the
        version that is to be replaced, 0 for "create only". `ttl_seconds` lets it expire.
        With a `fence` it is written only while that lease holds.

        Raises:
            ConflictError: another version is there, `details.current_version`; or the fence's
                lease does not hold, `details.current_token`.
            TooLargeError: the document is over 1 MiB.
        """
        payload = save_payload(document, collection, if_version, ttl_seconds, fence)
        return await self._record("storage_save", payload, options)

    async def get(
        self,
        record_id: RecordId,
        *,
        collection: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Record:
        """One record. Raises NotFoundError when there is none."""
        payload = present(task_id=record_id, collection=collection)
        return await self._record("storage_get", payload, options)

    async def update(
        self,
        record_id: RecordId,
        changes: Mapping[str, object] | None = None,
        *,
        increment: Mapping[str, int | float] | None = None,
        append: Mapping[str, Sequence[object]] | None = None,
        collection: str | None = None,
        if_version: int | None = None,
        fence: Fence | None = None,
        **options: Unpack[CallOptions],
    ) -> Record:
        """Change a record in place, atomically; the record after it.

        `changes` is a merge patch (RFC 7396: None removes a key); `increment` adds to numbers
        and `append` to arrays, by dotted path.

        Raises:
            NotFoundError: there is no such record.
            ConflictError: `if_version` is not its version, `details.current_version`; or the
                fence's lease does not hold, `details.current_token`.
            ValidationError: a change does not fit what is there.
        """
        payload = update_payload(
            record_id, changes, increment, append, collection, if_version, fence
        )
        return await self._record("storage_update", payload, options)

    async def delete(
        self,
        record_id: RecordId,
        *,
        collection: str | None = None,
        if_version: int | None = None,
        fence: Fence | None = None,
        **options: Unpack[CallOptions],
    ) -> Record:
        """Delete a record; the record as it was. Raises NotFoundError or ConflictError."""
        payload = present(
            task_id=record_id,
            collection=collection,
            if_version=if_version,
            fence=fence_fields(fence),
        )
        return await self._record("storage_delete", payload, options)

    def list(
        self,
        *,
        collection: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        with_meta: bool = False,
        **options: Unpack[ReadOptions],
    ) -> Query:
        """The records in the order of their ids; see `Query` for how to use what it returns.

        `limit` bounds each page, 1 to 10,000; without it a page holds what fits a response.
        `cursor` begins after an earlier page. `with_meta` asks for versions and times too.
        """
        payload = present(collection=collection, limit=limit, with_meta=with_meta or None)
        return Query(self._fetch("storage_list", payload, options), cursor)

    def query(
        self,
        filters: Mapping[str, object] | None = None,
        *,
        sort: Sort | None = None,
        fields: Sequence[str] | None = None,
        collection: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        with_meta: bool = False,
        **options: Unpack[ReadOptions],
    ) -> Query:
        """The records that match, as `list`; in the order of `sort`, reduced to `fields`."""
        payload = present(
            filters=None if filters is None else dict(filters),
            sort=None if sort is None else [[path, direction] for path, direction in sort],
            fields=None if fields is None else [*fields],
            collection=collection,
            limit=limit,
            with_meta=with_meta or None,
        )
        return Query(self._fetch("storage_query", payload, options), cursor)

    async def count(
        self,
        filters: Mapping[str, object] | None = None,
        *,
        collection: str | None = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """How many records match."""
        payload = present(filters=None if filters is None else dict(filters), collection=collection)
        response = await self._ask("storage_count", payload, options)
        if type(response.result) is not int:
            raise unexpected("count")
        return response.result

    def batch(
        self,
        *,
        atomic: bool = True,
        collection: str | None = None,
        fence: Fence | None = None,
    ) -> Batch:
        """Collect operations, to execute them in one message: all or nothing when `atomic`.

        `collection` is the default of the operations that name none; with a `fence` nothing
        is written unless that lease holds.
        """

        async def execute(operations: _Operations, options: CallOptions) -> _Outcomes:
            payload = present(
                operations=operations,
                atomic=atomic,
                collection=collection,
                fence=fence_fields(fence),
            )
            response = await self._ask("storage_batch", payload, options)
            return outcomes_of(response.result)

        return Batch(execute)

    async def index(
        self,
        paths: Sequence[str] | None = None,
        *,
        collection: str | None = None,
        **options: Unpack[CallOptions],
    ) -> IndexState:
        """Declare the collection's indexed paths (the whole list), or only ask for them."""
        payload = present(paths=None if paths is None else [*paths], collection=collection)
        response = await self._ask("storage_index", payload, options)
        return parsed(IndexState, response.result)

    async def collections(self, **options: Unpack[CallOptions]) -> _Collections:
        """The collections that hold records, by name, with how many they hold."""
        response = await self._ask("storage_collections", {}, options)
        return [parsed(CollectionCount, item) for item in listed(response.result)]

    async def _ask(
        self, action: str, payload: Mapping[str, object], options: ReadOptions
    ) -> AgentResponse:
        return await ask(self._client, self._agent, action, payload, options)

    async def _record(
        self, action: str, payload: Mapping[str, object], options: CallOptions
    ) -> Record:
        response = await self._ask(action, payload, options)
        return record_of(response.result, response.meta)

    def _fetch(
        self, action: str, payload: dict[str, object], options: ReadOptions
    ) -> Callable[[str | None], Awaitable[Page]]:

        async def fetch(cursor: str | None) -> Page:
            asked = payload if cursor is None else {**payload, "cursor": cursor}
            response = await self._ask(action, asked, options)
            return page_of(response.result, response.meta)

        return fetch
