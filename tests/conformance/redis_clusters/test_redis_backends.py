"""The conformance suite behind Redis Sentinels and on a Redis Cluster."""

import pytest

from holdfast_backends.testing.suite import *  # noqa: F403 — made for it: every case and fixture

pytestmark = pytest.mark.redis
