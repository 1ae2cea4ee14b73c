"""What a Redis that was killed has on its disk."""

from collections.abc import AsyncIterator

from holdfast_backends.redis import RedisBackend
from tests.chaos.clusters.redis_nodes import PASSWORD, RedisNode

_PAGE = 1_000


async def messages_on_disk(node: RedisNode, namespace: str) -> frozenset[str]:
    """The ids of the messages that changed something there.

    It writes to its disk before it answers: whatever it acknowledged is among them.
    """
    copy = node.copy()
    await copy.start()
    try:
        url = f"redis://:{PASSWORD}@127.0.0.1:{copy.port}/0"
        async with RedisBackend(url, namespace=namespace) as backend:
            return frozenset([one async for one in _messages(backend)])
    finally:
        await copy.kill()


async def _messages(backend: RedisBackend) -> AsyncIterator[str]:
    for collection, last in (await backend.outbox.positions()).items():
        after = 0
        while after < last:
            page = await backend.outbox.read(collection, after, _PAGE)
            for event in page.events:
                if event.message_id is not None:
                    yield event.message_id
            after = page.events[-1].sequence
