"""Topic patterns, as a topic exchange understands them."""

from collections.abc import Sequence
from functools import lru_cache

from holdfast_protocol.bus.checks import check_short_string
from holdfast_protocol.errors import ValidationError


def check_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns themselves. Raises ValidationError for none, or one that AMQP cannot carry."""
    if not patterns:
        raise ValidationError("There is no pattern to listen for")
    for pattern in patterns:
        check_short_string("pattern", pattern)
    return tuple(patterns)


@lru_cache(maxsize=4096)
def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether the key matches: `*` stands for one word, `#` for any number of them."""
    parts = _words(pattern)
    reached = _past_hashes(parts, {0})
    for word in _words(routing_key):
        reached = _past_hashes(
            parts,
            {at if parts[at] == "#" else at + 1 for at in reached if _takes(parts, at, word)},
        )
    return len(parts) in reached


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def _takes(parts: list[str], at: int, word: str) -> bool:
    return at < len(parts) and parts[at] in ("#", "*", word)


def _past_hashes(parts: list[str], reached: set[int]) -> set[int]:
    """With the places reached when a `#` stands for nothing (more)."""
    everywhere = set(reached)
    for at in reached:
        place = at
        while place < len(parts) and parts[place] == "#":
            place += 1
            everywhere.add(place)
    return everywhere
