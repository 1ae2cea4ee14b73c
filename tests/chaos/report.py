"""What a run did and found, for people and for programs."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tests.chaos.calm import Calm
from tests.chaos.faults.contract import Strike
from tests.chaos.history import Violation
from tests.chaos.memory import MEBI, Life
from tests.chaos.recovery import Recovery

SHOWN: Final = 20  # violations that are printed
FREE: Final = 5.0
"""Seconds without another fault: so many let a recovery show that it takes longer."""


@dataclass(frozen=True, slots=True)
class Found:
    """A violation, and where it was found: in a round, or by looking at all of them."""

    round: int | None
    seed: int
    backend: str
    violation: Violation


@dataclass(slots=True)
class Report:
    """A run, as far as it has come."""

    command: str
    seed: int
    folder: str
    rounds: int
    round: int = 0
    began: float = field(default_factory=time.monotonic)
    strikes: Counter[str] = field(default_factory=Counter)
    timeline: list[tuple[int, Strike]] = field(default_factory=list)
    operations: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    recoveries: list[Recovery] = field(default_factory=list)
    away: dict[str, float] = field(default_factory=dict)
    calm: list[Calm] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def spending(self, phase: str) -> Iterator[None]:
        """Counts the milliseconds of a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent[phase] += round(1000 * (time.monotonic() - began))

    def struck(self, strike: Strike) -> None:
        """Count a fault."""
        self.strikes[strike.kind] += 1
        self.timeline.append((self.round, strike))
        away = strike.healed_at - strike.struck_at
        self.away[strike.kind] = max(away, self.away.get(strike.kind, 0.0))

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began

    def line(self, answered: dict[str, int]) -> str:
        """The progress in a line."""
        minutes, seconds = divmod(int(self.seconds), 60)
        strikes = " · ".join(f"{kind} {count}" for kind, count in sorted(self.strikes.items()))
        operations = " ".join(
            f"{backend} {self.operations[backend] + count:,}" for backend, count in answered.items()
        )
        return (
            f"round {self.round}/{self.rounds} · {minutes}:{seconds:02} · {strikes or 'no strike'}"
            f" · answered {operations} · violations {len(self.found)}"
        )

    # -- the end -------------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """Everything, for a program."""
        return {
            "command": self.command,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "rounds": self.round,
            "spent": {phase: ms / 1000 for phase, ms in self.spent.items()},
            "strikes": dict(self.strikes),
            "longest_away": self.away,
            "operations": dict(self.operations),
            "messages": dict(self.messages),
            "repeated": dict(self.repeated),
            "dead_letters": dict(self.dead_letters),
            "refusals": dict(self.refusals),
            "recovery": _summaries(self.recoveries),
            "calm": [asdict(calm) for calm in self.calm],
            "memory": [asdict(life) for life in self.lives],
            "violations": [asdict(found) for found in self.found],
            "timeline": [self._moment(number, strike) for number, strike in self.timeline],
        }

    def _moment(self, number: int, strike: Strike) -> dict[str, Any]:
        """A strike, in seconds from the beginning of the run."""
        struck_at, healed_at = strike.struck_at - self.began, strike.healed_at - self.began
        return {
            "round": number,
            "kind": strike.kind,
            "at": strike.at,
            "struck": round(struck_at, 3),
            "healed": round(healed_at, 3),
        }

    def as_text(self) -> str:
        """A few tables, for a person."""
        lines = [f"seed {self.seed} · {self.round} rounds · {self.seconds / 60:.1f} minutes"]
        lines += [" · ".join(f"{phase} {ms / 1000:.0f} s" for phase, ms in self.spent.items()), ""]
        lines += _table(
            ("fault", "injected", "longest away s"),
            [
                (kind, f"{n:,}", f"{self.away[kind]:.1f}")
                for kind, n in sorted(self.strikes.items())
            ],
        )
        lines += _table(
            ("backend", "operations", "messages", "asked again", "dead letters"),
            [
                (
                    b,
                    f"{n:,}",
                    f"{self.messages[b]:,}",
                    f"{self.repeated[b]:,}",
                    f"{self.dead_letters[b]:,}",
                )
                for b, n in sorted(self.operations.items())
            ],
        )
        lines += _table(
            (
                "back until first success",
                "backend",
                "seen",
                f"{FREE:g} s free",
                "median s",
                "longest s",
            ),
            [
                (s["kind"], s["backend"], s["seen"], s["free"], s["median"], s["longest"])
                for s in _summaries(self.recoveries)
            ],
        )
        lines += _table(
            ("back until 90 % of the rate", "backend", "before /s", "seconds"),
            [
                (c.kind, c.backend, f"{c.usual:.0f}", "not" if c.seconds is None else c.seconds)
                for c in self.calm
            ],
        )
        lines += _table(
            ("said instead of an answer", "times"),
            [(name, f"{count:,}") for name, count in sorted(self.refusals.items())],
        )
        if not self.lives:
            lines += ["no process lived long enough to tell of its memory", ""]
        lines += _table(
            ("memory of long lives", "seconds", "MiB by tenths of the life", "most MiB"),
            [
                (
                    f"agent {life.agent}",
                    f"{life.seconds:.0f}",
                    " ".join(f"{size / MEBI:.0f}" for size in life.tenths),
                    f"{life.most / MEBI:.0f}",
                )
                for life in self.lives
            ],
        )
        return "\n".join([*lines, *self._violations()])

    def _violations(self) -> list[str]:
        if not self.found:
            return ["violations: none"]
        counts = Counter(found.violation.promise for found in self.found)
        lines = [f"violations: {len(self.found)}"]
        lines += [f"  {count:>5}  {promise}" for promise, count in counts.most_common()]
        each = max(1, SHOWN // len(counts))
        for found in _first_of_each(self.found, each):
            rounds = "all rounds" if found.round is None else f"round {found.round}"
            where = f"{rounds} (seed {found.seed}), {found.backend}"
            lines.append(f"  {where}: {found.violation.promise}: {found.violation.text}")
        again = f"once more: {self.command} --seed {self.seed}"
        if (first := self.found[0].round) is not None:
            again += f" --only-round {first}"
        return [*lines, again, f"its files: {self.folder}"]


def _first_of_each(found: list[Found], count: int) -> list[Found]:
    """The first ones of each promise: one defect breaks one promise often."""
    told: Counter[str] = Counter()
    first: list[Found] = []
    for one in found:
        told[one.violation.promise] += 1
        if told[one.violation.promise] <= count:
            first.append(one)
    return first


def _summaries(recoveries: list[Recovery]) -> list[dict[str, Any]]:
    grouped: dict[tuple[str, str], list[Recovery]] = {}
    for recovery in recoveries:
        grouped.setdefault((recovery.kind, recovery.backend), []).append(recovery)
    summaries: list[dict[str, Any]] = []
    for (kind, backend), several in sorted(grouped.items()):
        seconds = sorted(recovery.seconds for recovery in several)
        summaries.append(
            {
                "kind": kind,
                "backend": backend,
                "seen": len(seconds),
                "free": sum(recovery.free >= FREE for recovery in several),
                "median": round(seconds[len(seconds) // 2], 2),
                "longest": round(seconds[-1], 2),
            }
        )
    return summaries


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    """Columns as wide as they need to be; nothing where there are no rows."""
    if not rows:
        return []
    cells = [head, *([("-" if cell is None else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in cells]
    return [*(line.rstrip() for line in lines), ""]
