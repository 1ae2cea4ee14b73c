"""Which suite looks for which planted defect."""

from typing import Final

ELSEWHERE: Final = frozenset({"everything-remembered"})
"""What the simulation does not see: it has no memory of its own to look at. The load shows it
without a fault."""

BY_REDIS: Final = frozenset(
    {
        "conflict-counts-as-commit",
        "head-believed",
        "id-given-again",
        "load-outside-the-unit",
        "unknown-commit-is-tried-as-new",
    }
)
"""What a SQLite file hides: nothing is lost on the way to it, a write there waits for its turn and
meets no conflict, and unique keys refuse what was decided from a state of before."""

BY_SIMULATION: Final = frozenset(
    {
        "ack-before-commit",
        "acked-without-reply",
        "answers-exchanged",
        "late-and-not-looked-up",
        "swallowed-connection-error",
        "unannounced-page-is-skipped",
    }
)
"""What the storm is not asked for. Most of it shows in real processes only when a fault meets a
moment of a millisecond, or when a late repetition and a new record come to PostgreSQL together;
what is read when a load is over is read by the shape it has to have, and exchanged answers end it
there. The simulation finds all of them."""
