"""Which suite looks for which planted defect."""

from typing import Final

ELSEWHERE: Final = frozenset({"everything-remembered"})
"""What the simulation does not see: it has no memory of its own to look at. The load shows it
without a fault."""

BY_REDIS: Final = frozenset(
    {
        "conflict-counts-as-commit",
        "head-believed",
        "load-outside-the-unit",
        "swallowed-connection-error",
        "unknown-commit-is-tried-as-new",
    }
)
"""What a SQLite file hides: nothing is lost on the way to it, a write there waits for its turn and
meets no conflict, and unique keys refuse what was decided from a state of before."""

RARE: Final = frozenset(
    {
        "ack-before-commit",
        "acked-without-reply",
        "late-and-not-looked-up",
    }
)
"""What shows in real processes only when a death meets a moment of a millisecond, or, the last,
when a late repetition and a new record come to PostgreSQL together; the simulation sees to it."""
