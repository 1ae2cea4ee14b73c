"""A question whose answer comes in pages."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator

from holdfast_protocol.client.answers import unexpected
from holdfast_protocol.client.records import Document, Page, Record


class Query:
    """What `list` and `query` return. Nothing is asked before it is used, in one of two ways:

        page = await client.storage.query({"done": False}, limit=20)      # the first page

        async for document in client.storage.query({"done": False}):      # all of them
            ...

    Used again, it asks again.
    """

    def __init__(self, fetch: Callable[[str | None], Awaitable[Page]], cursor: str | None) -> None:
        self._fetch = fetch
        self._cursor = cursor

    def __await__(self) -> Generator[object, None, Page]:
        return self._fetch(self._cursor).__await__()

    async def __aiter__(self) -> AsyncIterator[Document]:
        async for page in self.pages():
            for document in page.documents:
                yield document

    async def pages(self) -> AsyncIterator[Page]:
        """Page after page, to the end. The next one is asked for when it is wanted."""
        cursor = self._cursor
        while True:
            page = await self._fetch(cursor)
            yield page
            if page.next_cursor is None:
                return
            if page.next_cursor == cursor:
                raise unexpected("progress from page to page")
            cursor = page.next_cursor

    async def records(self) -> AsyncIterator[Record]:
        """All records, with version and times. Only when asked for `with_meta=True`."""
        async for page in self.pages():
            for record in page.records:
                yield record

    async def all(self) -> list[Document]:
        """All documents in one list, which has no bound but the store's size."""
        return [document async for document in self]
