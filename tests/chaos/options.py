"""What a run of the suite is asked for."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

DURABLE: Final = ("sqlite", "postgres", "redis")
SERVERS: Final = ("rabbitmq", "postgres", "redis")
KINDS: Final = ("agent", *SERVERS)
"""What is killed."""


@dataclass(frozen=True, slots=True)
class Options:
    """A run: how much of what. The seed decides the rest.

    Args:
        kills: of each kind, and `stops` of agents.
        operations: answered ones of each backend, at least; those of a batch count each.
        calm: single strikes of each kind in a quiet round, for the time that recovery takes.
        first_success: seconds after a server is back until the first success.
        full_again: seconds after a strike until the throughput is what it was.
        long_life: seconds that a process must have lived so that its memory tells something, of
            which the first `warm` are left out.
        longest: seconds that a round's operations may take when its faults are over.
        mutant: a defect to plant in the agents.
        folder: where data and logs go.
    """

    folder: Path
    seed: int
    backends: tuple[str, ...] = DURABLE
    kinds: tuple[str, ...] = KINDS
    agents: int = 2
    kills: int = 10
    stops: int = 10
    operations: int = 10_000
    rounds: int = 1
    only_round: int | None = None
    calm: int = 0
    workers: int = 16
    first_success: float = 5.0
    full_again: float = 15.0
    long_life: float = 240.0
    warm: float = 60.0
    longest: float = 1_800.0
    mutant: str | None = None
    stop_at_first: bool = False

    def seed_of(self, number: int) -> int:
        """The seed of a round."""
        return Random(f"{self.seed}/{number}").getrandbits(32)

    def share(self, total: int, number: int) -> int:
        """A round's part of what is asked of all rounds together; rounds count from 1."""
        return total * number // self.rounds - total * (number - 1) // self.rounds

    def protected(self, number: int) -> int:
        """The process of each backend that no kill of this round hits.

        It lives long, so that its memory tells something; all of them take turns, so that the
        one which publishes events dies, too.
        """
        return (number - 1) * self.agents // max(self.rounds, number)
