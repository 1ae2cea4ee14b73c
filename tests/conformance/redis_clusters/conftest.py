"""Where the long form finds its backends. It runs when HOLDFAST_TEST_REDIS_CLUSTERS is set:

HOLDFAST_TEST_REDIS_CLUSTERS=1 make test ARGS=tests/conformance/redis_clusters
"""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from holdfast_backends.testing.harness import OpenBackend
from tests.chaos.clusters.redis_cluster import redis_cluster
from tests.chaos.clusters.redis_sentinels import sentinel_group
from tests.conformance.stores import redis_store
from tests.services import unique_name

if not os.environ.get("HOLDFAST_TEST_REDIS_CLUSTERS"):
    collect_ignore_glob = ["test_*.py"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sentinel_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """URL of a master that sentinels name."""
    async with sentinel_group(tmp_path_factory.mktemp("sentinels")) as group:
        yield group.url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """URL of a Redis Cluster."""
    async with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.url


@pytest.fixture(params=["sentinel", "cluster"])
def open_backend(request: pytest.FixtureRequest) -> OpenBackend:
    """Opens a store that holds nothing yet, or opens it again."""
    return redis_store(request.getfixturevalue(f"{request.param}_url"), unique_name())
