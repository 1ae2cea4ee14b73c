"""The fixtures of the suite. `open_backend` is the user's own; see the package's docstring."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .harness import AnyBackend, ManualClock, OpenBackend


@pytest.fixture
def clock() -> ManualClock:
    """The time, as the backend sees it; it stands still until a test moves it."""
    return ManualClock()


@pytest_asyncio.fixture(loop_scope="session")
async def backend(open_backend: OpenBackend, clock: ManualClock) -> AsyncIterator[AnyBackend]:
    """An open backend on an empty store."""
    async with open_backend(clock) as opened:
        yield opened
