"""Locks and fences through the client, on each backend and both buses."""

import asyncio

import pytest

from holdfast_protocol import AgentClient, ConflictError, Fence, NotFoundError, ValidationError
from tests.conformance.service.scene import Scene, soon, until


async def is_free(client: AgentClient) -> bool:
    return not (await client.request("storage", "lock_get", {"name": "basin"})).ok


async def test_one_holder_at_a_time(scene: Scene) -> None:
    inside = 0
    most = 0

    async with scene.service(), scene.client("a") as a, scene.client("b") as b:

        async def work(number: int) -> int:
            nonlocal inside, most
            client = (a, b)[number % 2]
            async with client.lock("basin", lease_seconds=10, wait=20) as lock:
                inside += 1
                most = max(most, inside)
                await client.storage.save({"n": number}, fence=lock.fence)
                inside -= 1
                return lock.token

        tokens = await soon(asyncio.gather(*(work(number) for number in range(8))))
    assert most == 1
    assert sorted(tokens) == list(range(1, 9))


async def test_a_write_with_an_old_token_is_refused(scene: Scene) -> None:
    async with scene.service(), scene.client() as client:
        old = await client.locks.acquire("basin", lease_seconds=60)
        await client.locks.release("basin", old.token)
        new = await client.locks.acquire("basin", lease_seconds=60)
        with pytest.raises(ConflictError) as refusal:
            await client.storage.save({"n": 1}, fence=Fence(lock="basin", token=old.token))
        await client.storage.save({"n": 2}, fence=Fence(lock="basin", token=new.token))
        count = await client.storage.count()
    assert refusal.value.details == {"lock": "basin", "current_token": new.token}
    assert count == 1


async def test_an_expired_holder_cannot_write(scene: Scene) -> None:
    async with scene.service(), scene.client() as client:
        lock = await client.locks.acquire("basin", lease_seconds=0.001)
        await until(lambda: is_free(client))
        with pytest.raises(ConflictError) as refusal:
            await client.storage.save({"n": 1}, fence=Fence(lock="basin", token=lock.token))
        taken = await client.locks.acquire("basin", lease_seconds=60)
    assert refusal.value.details == {"lock": "basin", "current_token": None}
    assert taken.token == lock.token + 1


async def test_tokens_outlive_the_sweeping_of_their_locks(scene: Scene) -> None:
    async with scene.service() as service, scene.client() as client:
        lock = await client.locks.acquire("basin", lease_seconds=0.001)
        await until(lambda: is_free(client))
        await service.backend.sweep()
        again = await client.locks.acquire("basin", lease_seconds=60)
        collections = await client.storage.collections()
        positions = await client.request("storage", "storage_positions")
    assert again.token > lock.token
    assert (collections, positions.result) == ([], []), "locks are no records"


@pytest.mark.parametrize("seconds", [0, -1, 86_401, 1e300, True, "1"])
async def test_leases_out_of_bounds_are_refused(scene: Scene, seconds: object) -> None:
    async with scene.service(), scene.client() as client:
        response = await client.request(
            "storage", "lock_acquire", {"name": "basin", "lease_seconds": seconds}
        )
        with pytest.raises(ValidationError, match="lease_seconds"):
            response.raise_for_error()
        with pytest.raises(NotFoundError):
            await client.locks.get("basin")
