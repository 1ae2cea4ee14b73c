"""What is not on a machine: its tests skip there, or fail where nothing may be missing."""

import os
from typing import NoReturn

import pytest


def missing(reason: str, *, permission: bool = False) -> NoReturn:
    """Skip the test, or fail it where what is missing is required.

    Programs and servers are required in CI and by HOLDFAST_TEST_REQUIRE_SERVICES=1, the full
    run. A permission is required only in CI: nobody has to give it to a test run on a machine of
    their own.

    Args:
        reason: what is missing, and what to do.
        permission: whether the user lacks a right, not the machine a program.
    """
    full = os.environ.get("HOLDFAST_TEST_REQUIRE_SERVICES", "") not in ("", "0")
    if os.environ.get("CI") or (full and not permission):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
