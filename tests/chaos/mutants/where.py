"""Which suite looks for which planted defect."""

from typing import Final

ELSEWHERE: Final = frozenset({"everything-remembered"})
"""What the simulation cannot see: it has no memory of its own to look at. The storm sees these."""

RARE: Final = frozenset(
    {
        "ack-before-commit",
        "acked-without-reply",
    }
)
"""What shows in real processes only when a death meets a moment of a millisecond; the simulation
puts deaths there."""
