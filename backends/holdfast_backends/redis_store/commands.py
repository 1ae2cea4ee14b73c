"""Commands gathered for one script call."""

from collections.abc import Iterator, Sequence

from .client import Argument
from .scripts import MAX_ARGUMENTS

_TYPES = {
    b"HSET": b"hash",
    b"HDEL": b"hash",
    b"ZADD": b"zset",
    b"ZREM": b"zset",
    b"UNLINK": b"zset",  # only indexes are ever dropped
}


class Commands:
    """Commands with their keys, each key once, and the type that a key must have."""

    def __init__(self, first: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._positions: dict[bytes, int] = {}
        self.types: list[bytes] = []
        self.arguments: list[Argument] = []
        for key, kind in first:
            self._position(key, kind)

    @property
    def keys(self) -> list[bytes]:
        """All keys, in the order of their positions."""
        return list(self._positions)

    def add(self, name: bytes, key: bytes, arguments: Sequence[Argument] = ()) -> int:
        """Add a command, as several where it has too many arguments; how many it became.

        Arguments come in ones or pairs, so an even cut never parts what belongs together.
        """
        position = self._position(key, _TYPES.get(name, b""))
        count = 0
        for part in _parts(arguments):
            self.arguments.extend((name, position, len(part), *part))
            count += 1
        return count

    def _position(self, key: bytes, kind: bytes) -> int:
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = len(self._positions) + 1
            self.types.append(kind)
        return position


def _parts(arguments: Sequence[Argument]) -> Iterator[Sequence[Argument]]:
    if len(arguments) <= MAX_ARGUMENTS:
        yield arguments
        return
    for first in range(0, len(arguments), MAX_ARGUMENTS):
        yield arguments[first : first + MAX_ARGUMENTS]
