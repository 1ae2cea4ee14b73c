"""What runs in the background of a load ends with it, and fails it when it fails."""

import asyncio

import pytest

from tests.chaos.load.tasks import end


async def _fails() -> None:
    raise KeyError("a defect of the load's own")


async def _goes_on(times: int) -> None:
    """As who reads from a connection does, where the driver raises while it is cancelled."""
    for _time in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(60)


async def test_what_had_failed_before_is_raised() -> None:
    failed, other = asyncio.create_task(_fails()), asyncio.create_task(_goes_on(0))
    await asyncio.wait([failed])
    with pytest.raises(KeyError, match="a defect"):
        await end([failed, other])
    assert other.cancelled()


async def test_who_does_not_end_is_cancelled_again() -> None:
    task = asyncio.create_task(_goes_on(1))
    await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()
