"""The two forms of a test under fire: short in `make test`, long in `make chaos`."""

import os
from typing import Final, TypeVar

T = TypeVar("T")

VARIABLE: Final = "HOLDFAST_TEST_CHAOS"
"""`long` asks for the long forms; `make chaos` sets it."""


def is_long() -> bool:
    """Whether the long forms are asked for."""
    return os.environ.get(VARIABLE, "") == "long"


def by_form(short: T, long: T) -> T:
    """How much of something a test does: `by_form(20, 2_000)`."""
    return long if is_long() else short
