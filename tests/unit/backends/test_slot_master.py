"""Which node of a Redis Cluster serves a slot, while others are silent, refuse or talk nonsense."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import pytest

from holdfast_backends.errors import StorageError, UnavailableError
from holdfast_backends.redis_store.address import parse_address
from holdfast_backends.redis_store.failures import FAMILIES, translate
from holdfast_backends.redis_store.slot_master import SlotMaster
from tests.unit.backends.resp_servers import SILENT, answering

PATIENCE = 0.4  # seconds
BOUND = 3 * PATIENCE  # one patience, the head start of the first node, and a slow machine

_MASTER = b"*3\r\n$9\r\n127.0.0.9\r\n:7009\r\n$2\r\nid\r\n"
SERVED = {b"CLUSTER": b"*1\r\n*3\r\n:0\r\n:16383\r\n" + _MASTER}
UNSERVED = {b"CLUSTER": b"*0\r\n"}
MUTE = {b"CLUSTER": SILENT}
MALFORMED = {b"CLUSTER": SERVED[b"CLUSTER"].replace(b":7009\r\n", b"$4\r\nport\r\n")}
ALONE = {b"CLUSTER": b"-ERR This instance has cluster support disabled\r\n"}
LOADING = {b"CLUSTER": b"-CLUSTERDOWN The cluster is down\r\n"}


@asynccontextmanager
async def master(nodes: Sequence[Mapping[bytes, bytes]]) -> AsyncIterator[SlotMaster]:
    """A search among such nodes."""
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(answering(node)) for node in nodes]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        address = parse_address(f"redis+cluster://{hosts}")
        found = SlotMaster(address, b"{holdfast}:version", PATIENCE)
        stack.push_async_callback(found.close)
        yield found


async def failure(nodes: Sequence[Mapping[bytes, bytes]]) -> StorageError:
    """What a search among such nodes ends with."""
    async with master(nodes) as searching:
        with pytest.raises(FAMILIES) as caught:
            await searching.find()
    assert isinstance(caught.value, Exception)
    return translate(caught.value)


async def test_silent_nodes_do_not_hold_up_one_that_knows() -> None:
    async with master([MUTE] * 5 + [SERVED]) as searching:
        for _ in range(2):  # each search begins with another node
            began = monotonic()
            assert await searching.find() == ("127.0.0.9", 7009)
            assert monotonic() - began < BOUND
            searching._known = ()


async def test_the_search_ends_in_time_when_all_are_silent() -> None:
    began = monotonic()
    assert isinstance(await failure([MUTE] * 8), UnavailableError)
    assert monotonic() - began < BOUND


@pytest.mark.parametrize("other", [MUTE, UNSERVED, LOADING, MALFORMED])
async def test_a_node_that_refuses_lastingly_tells_most(other: Mapping[bytes, bytes]) -> None:
    for nodes in ([ALONE, other], [other, ALONE], [other, ALONE, other]):
        error = await failure(nodes)
        assert "no Redis Cluster" in error.message
        assert not isinstance(error, UnavailableError)


async def test_that_nobody_serves_the_slot_tells_more_than_silence() -> None:
    for nodes in ([UNSERVED, MUTE], [MUTE, UNSERVED]):
        assert "no node of the Redis Cluster serves" in (await failure(nodes)).message


async def test_a_malformed_answer_is_none() -> None:
    async with master([MALFORMED, SERVED, MALFORMED]) as searching:
        for _ in range(3):
            assert await searching.find() == ("127.0.0.9", 7009)
            searching._known = ()
    assert isinstance(await failure([MALFORMED]), UnavailableError)
