"""What a replay tells."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from .comparing import Difference
from .reading import BadLine


@dataclass(frozen=True, slots=True)
class Divergence:
    """A message whose answer is not the recorded one; `hint` names a typical cause."""

    line: int
    message_id: str
    action: str
    differences: Sequence[Difference]
    agent: str = "storage"
    hint: str | None = None


@dataclass(slots=True)
class Report:
    """What a replay did. `samples` and `bad_lines` hold the first few; the numbers count all.

    Args:
        broken: lines that are no exchange.
        skipped: messages to agents that are not there, by agent.
        withheld: messages that were not executed when they were recorded either, or are none to
            repeat, by what their line says.
        repeats: lines that stood in the log twice, as a journal may hold them.
        found: what the store held before, by collection.
        begins_late: collections of which the log does not tell the first changes, with the number
            of the first change that it knows of.
    """

    replayed: int = 0
    compared: int = 0
    differing: int = 0
    samples: list[Divergence] = field(default_factory=list)
    broken: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    found: dict[str, int] = field(default_factory=dict)
    begins_late: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every line was replayed, and nothing compared differs."""
        return not (self.differing or self.broken or self.skipped)

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.replayed / self.seconds if self.seconds > 0 else 0.0
