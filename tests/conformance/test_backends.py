"""The conformance suite on every backend; `conftest.py` says how each is opened."""

from holdfast_backends.testing.suite import *  # noqa: F403 — made for it: every case and fixture
