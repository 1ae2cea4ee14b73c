"""How patient a service is with broker and store while it starts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest

from holdfast_agents.cli import serving
from holdfast_agents.cli.serving import Serving
from holdfast_agents.settings import Settings
from holdfast_backends.errors import UnavailableError
from tests.unit.client.virtualtime import in_virtual_time, now

CONNECTING = 40.0  # seconds; longer than the patience
PATIENCE = 30.0


class StoreAway:
    """A store that declares indexes only after a moment."""

    def __init__(self, until: float) -> None:
        self._until = until

    async def execute(self, operations: Sequence[object]) -> list[object]:
        if now() < self._until:
            raise UnavailableError("away")
        return [None for _ in operations]


@pytest.fixture
def away_until(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Until when the store is away whose service was reached late, as the only element."""
    moments: list[float] = []

    @asynccontextmanager
    async def open_service(**_options: object) -> AsyncIterator[SimpleNamespace]:
        await asyncio.sleep(CONNECTING)
        yield SimpleNamespace(backend=StoreAway(moments[0]))

    monkeypatch.setattr(serving, "open_service", open_service)
    return moments


async def _connect() -> object:
    settings = Settings(connect_seconds=PATIENCE, indexes={"tasks": ("owner",)})
    async with AsyncExitStack() as stack:
        return await Serving(settings)._connect(stack)


@pytest.mark.parametrize("seconds", [1.0, PATIENCE - 2])
def test_an_outage_after_a_long_connect_is_waited_for(
    away_until: list[float], seconds: float
) -> None:
    away_until.append(CONNECTING + seconds)

    @in_virtual_time
    async def run() -> None:
        assert await _connect() is not None

    run()


def test_an_outage_that_lasts_ends_the_start(away_until: list[float]) -> None:
    away_until.append(CONNECTING + 2 * PATIENCE)

    @in_virtual_time
    async def run() -> None:
        with pytest.raises(serving._CannotStartError, match="backend was not reached within 30"):
            await _connect()
        assert now() < CONNECTING + PATIENCE + 2

    run()
