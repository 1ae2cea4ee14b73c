"""Whom sentinels call the master: what most of them say, and why nobody is found."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from holdfast_backends.errors import StorageError, UnavailableError
from holdfast_backends.redis_store.address import parse_address
from holdfast_backends.redis_store.failures import RefusedError
from holdfast_backends.redis_store.sentinel_master import SentinelsMaster
from tests.unit.backends.resp_servers import SILENT, answering, texts

PATIENCE = 0.3  # seconds

FIRST, SECOND = ("127.0.0.8", 7008), ("127.0.0.9", 7009)
NAMES_FIRST = {b"SENTINEL": texts(b"127.0.0.8", b"7008")}
NAMES_SECOND = {b"SENTINEL": texts(b"127.0.0.9", b"7009")}
UNKNOWN = {b"SENTINEL": b"*-1\r\n"}
MUTE = {b"SENTINEL": SILENT}
MALFORMED = {b"SENTINEL": texts(b"127.0.0.8", b"port")}
NO_SENTINEL = {b"SENTINEL": b"-ERR unknown command 'SENTINEL'\r\n"}


@asynccontextmanager
async def master(sentinels: Sequence[Mapping[bytes, bytes]]) -> AsyncIterator[SentinelsMaster]:
    """A search by such sentinels."""
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(answering(one)) for one in sentinels]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        found = SentinelsMaster(parse_address(f"redis+sentinel://{hosts}/mymaster"), PATIENCE)
        stack.push_async_callback(found.close)
        yield found


async def failure(sentinels: Sequence[Mapping[bytes, bytes]]) -> StorageError:
    """What a search by such sentinels ends with."""
    async with master(sentinels) as searching:
        with pytest.raises(RefusedError) as caught:
            await searching.find()
    return caught.value.refusal


@pytest.mark.parametrize("third", [NAMES_SECOND, UNKNOWN, MUTE, MALFORMED, NO_SENTINEL])
async def test_what_most_of_them_say_counts(third: Mapping[bytes, bytes]) -> None:
    async with master([third, NAMES_FIRST, NAMES_FIRST]) as searching:
        assert await searching.find() == FIRST


@pytest.mark.parametrize(
    "sentinels",
    [
        [NAMES_FIRST, MUTE, MUTE],
        [NAMES_FIRST, NAMES_SECOND],
        [NAMES_FIRST, NAMES_SECOND, MUTE],
        [NAMES_FIRST, UNKNOWN],
    ],
)
async def test_fewer_are_not_believed(sentinels: Sequence[Mapping[bytes, bytes]]) -> None:
    error = await failure(sentinels)
    assert isinstance(error, UnavailableError)
    assert "most sentinels" in error.message


@pytest.mark.parametrize("lasting", [UNKNOWN, MALFORMED, NO_SENTINEL])
async def test_what_can_be_mended_is_told_only_when_most_say_so(
    lasting: Mapping[bytes, bytes],
) -> None:
    assert isinstance(await failure([lasting, MUTE, MUTE]), UnavailableError)
    assert isinstance(await failure([MUTE, lasting]), UnavailableError)
    error = await failure([lasting, MUTE, lasting])
    assert not isinstance(error, UnavailableError)
    assert "look at" in error.message


async def test_silence_of_all_is_unavailable() -> None:
    error = await failure([MUTE, MUTE])
    assert isinstance(error, UnavailableError)
    assert "no sentinel can be reached" in error.message


class Hearing(logging.Handler):
    """Waits for what is logged, and as a follower for another master."""

    def __init__(self) -> None:
        super().__init__()
        self.told: asyncio.Queue[logging.LogRecord] = asyncio.Queue()
        self.left = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.told.put_nowait(record)

    def leave(self) -> None:
        self.left.set()


@pytest.fixture
def hearing() -> Iterator[Hearing]:
    """Hears what the backends log."""
    handler, log = Hearing(), logging.getLogger("holdfast.backends")
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


async def test_the_watch_outlives_nonsense(hearing: Hearing) -> None:
    sentinel = dict(NAMES_FIRST)
    async with master([sentinel]) as searching, asyncio.timeout(10):
        assert await searching.find() == FIRST
        searching.followers.add(hearing)
        sentinel.update(MALFORMED)
        assert (await hearing.told.get()).levelno == logging.WARNING
        sentinel.update(NAMES_SECOND)
        await hearing.left.wait()
        assert searching.latest == SECOND


async def test_the_watch_outlives_what_nobody_expects(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def surprise() -> None:
        raise RuntimeError("a surprise")

    sentinel = dict(NAMES_FIRST)
    async with master([sentinel]) as searching, asyncio.timeout(10):
        await searching.find()
        searching.followers.add(hearing)
        with monkeypatch.context() as patch:
            patch.setattr(searching, "find", surprise)
            assert (await hearing.told.get()).exc_info
        sentinel.update(NAMES_SECOND)
        await hearing.left.wait()
        assert searching.latest == SECOND
