"""What is said instead of an answer, and asked again: it may say that somebody is away, not that
somebody is broken."""

from collections.abc import Iterator, Mapping
from typing import Final

from tests.chaos.checks.promises import SANE
from tests.chaos.history import Violation

DEFECT: Final = "internal_error"


def defects(refusals: Mapping[str, int]) -> Iterator[Violation]:
    """Faults of others are no reason for an error that is called our own.

    Args:
        refusals: how often what was said.
    """
    if count := refusals.get(DEFECT, 0):
        yield Violation(SANE, f"{count} messages were answered {DEFECT}, and then asked again")
