"""What a backend guarantees."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend guarantees. What it cannot do it refuses; it never ignores it.

    Args:
        durable: an acknowledged write survives the death of this process.
        crash_safe: … and the death of the machine: it was flushed to disk before the answer.
        shared: several processes may use the same store at once.
        indexes: declared paths become real indexes.
        survives_failover: … and the loss of the machine with its disk: another machine had it
            on disk before the answer, and can take its place.
    """

    durable: bool
    crash_safe: bool
    shared: bool
    indexes: bool
    survives_failover: bool = False
