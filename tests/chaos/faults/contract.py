"""What a fault is to whoever injects it."""

from dataclasses import dataclass
from random import Random
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that was injected and is over. Moments are seconds of CLOCK_MONOTONIC.

    Args:
        kind: the fault's kind.
        struck_at: when it was injected.
        healed_at: when whatever it hit was back: a server accepts connections again, a process
            is ready or runs again, a path is open.
        at: what it hit: a server (`rabbitmq`, `postgres`, `redis`) or, for agents and what stands
            before them, their backend; empty for everything.
    """

    kind: str
    struck_at: float
    healed_at: float
    at: str = ""


class Fault(Protocol):
    """Something that goes wrong, and heals."""

    @property
    def kind(self) -> str:
        """What the report counts it under, as a verb and its object: `kill postgres`."""
        ...

    async def strike(self, random: Random) -> Strike:
        """Inject it, and return when it is over; a cancellation heals it, too."""
        ...
