"""The stores of the suite."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from holdfast_backends.store import Store
from tests.conformance.store_contract.factories import ALONE, INDEXING, SHARED, MakeStore, factory

# Cheaper than TRUNCATE, which makes a new file of each of the two dozen indexes.
_CLEAN = """
DELETE FROM holdfast_records; DELETE FROM holdfast_messages; DELETE FROM holdfast_collections;
DELETE FROM holdfast_events; DELETE FROM holdfast_published
"""


@pytest_asyncio.fixture
async def clean_postgres_url(migrated_postgres_url: str) -> str:
    """URL of this run's own database, with the schema and nothing in it."""
    connection = await asyncpg.connect(migrated_postgres_url)
    await connection.execute(_CLEAN)
    await connection.close()
    return migrated_postgres_url


@pytest.fixture(params=[*ALONE, *SHARED])
def make_store(request: pytest.FixtureRequest) -> MakeStore:
    """Makes a store; every kind in turn."""
    return factory(request.param, request)


@pytest.fixture(params=INDEXING)
def make_indexing_store(request: pytest.FixtureRequest) -> MakeStore:
    """Makes a store of those that keep real indexes."""
    return factory(request.param, request)


@pytest.fixture(params=SHARED)
def make_shared_store(request: pytest.FixtureRequest) -> MakeStore:
    """Makes a store of those that several processes can use; all on the same data."""
    return factory(request.param, request)


@pytest_asyncio.fixture
async def store(make_store: MakeStore) -> AsyncIterator[Store]:
    """An open store."""
    async with make_store() as opened:
        yield opened


@pytest_asyncio.fixture
async def indexing_store(make_indexing_store: MakeStore) -> AsyncIterator[Store]:
    """An open store that keeps real indexes."""
    async with make_indexing_store() as opened:
        yield opened


@pytest_asyncio.fixture
async def pair(make_shared_store: MakeStore) -> AsyncIterator[tuple[Store, Store]]:
    """Two open stores on the same data."""
    async with make_shared_store() as one, make_shared_store() as other:
        yield one, other
