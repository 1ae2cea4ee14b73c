"""What counts as memory that grows."""

from itertools import count
from pathlib import Path

import pytest

from tests.chaos import memory
from tests.chaos.agents import Agent
from tests.chaos.memory import MEBI, Memory


def _seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int]) -> Memory:
    """A process of these sizes, a second apart."""
    agent = Agent("redis", 0, [], {}, tmp_path / "agent.log")
    monkeypatch.setattr(Agent, "pid", 7)
    used, now = iter(sizes), count()
    monkeypatch.setattr(memory, "resident_bytes", lambda _pid: next(used))
    seen = Memory(long_life=50.0, warm=10.0, now=lambda: float(next(now)))
    for _size in sizes:
        seen.look([agent])
    return seen


def test_memory_that_levels_off_does_not_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [*range(10), *[100 * MEBI] * 50, *[110 * MEBI] * 50]
    seen = _seen(tmp_path, monkeypatch, sizes)
    (life,) = seen.lives()
    assert life.tenths == (100 * MEBI,) * 5 + (110 * MEBI,) * 5
    assert seen.violations() == []


def test_memory_that_rises_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _seen(tmp_path, monkeypatch, [(100 + second) * MEBI for second in range(100)])
    (violation,) = seen.violations()
    assert "grew from 114.0 to 195.0 MiB" in violation.text


def test_who_lived_for_a_moment_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _seen(tmp_path, monkeypatch, [MEBI * second for second in range(40)]).lives() == []


def test_memory_that_still_rises_in_an_old_process_is_a_violation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [200 * MEBI + second * MEBI // 40 for second in range(1_000)]  # 25 MiB in all
    assert _seen(tmp_path, monkeypatch, sizes[:800]).violations() == []
    assert len(_seen(tmp_path, monkeypatch, sizes).violations()) == 1
