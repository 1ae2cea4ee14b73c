"""Several questions asked in one round trip."""

from collections.abc import Sequence

from .client import Argument, Reply, items, number, optional_texts, texts
from .commands import Commands
from .layout import Layout


class Reading:
    """Gathers questions; each gets a ticket for its answer. The first are the revisions'."""

    def __init__(self, layout: Layout, fields: Sequence[bytes]) -> None:
        self._commands = Commands()
        self._tickets: list[slice] = []
        self._asked = 0
        self.fields = fields
        self.revisions = self.hmget(layout.revisions, fields)

    @property
    def keys(self) -> list[bytes]:
        """The keys for the script."""
        return self._commands.keys

    @property
    def arguments(self) -> list[Argument]:
        """The arguments for the script."""
        return self._commands.arguments

    @property
    def tickets(self) -> Sequence[slice]:
        """Which replies answer each question."""
        return self._tickets

    def ask(self, command: bytes, key: bytes, *arguments: Argument) -> int:
        """Ask a command."""
        return self._ask(command, key, arguments)

    def hmget(self, key: bytes, fields: Sequence[bytes]) -> int:
        """Ask for fields of a hash, any number of them."""
        if not fields:
            self._tickets.append(slice(self._asked, self._asked))
            return len(self._tickets) - 1
        return self._ask(b"HMGET", key, fields)

    def _ask(self, command: bytes, key: bytes, arguments: Sequence[Argument]) -> int:
        count = self._commands.add(command, key, arguments)
        self._tickets.append(slice(self._asked, self._asked + count))
        self._asked += count
        return len(self._tickets) - 1


class Answers:
    """The answers to a reading's questions, by their tickets."""

    def __init__(self, reading: Reading, reply: Reply) -> None:
        self._tickets = reading.tickets
        self._replies = items(reply)

    def fields(self, ticket: int) -> list[bytes | None]:
        """What `hmget` asked for."""
        replies = self._replies[self._tickets[ticket]]
        if len(replies) == 1:
            return optional_texts(replies[0])
        return [field for reply in replies for field in optional_texts(reply)]

    def number(self, ticket: int) -> int:
        """A command's integer."""
        return number(self._replies[self._tickets[ticket]][0])

    def texts(self, ticket: int) -> list[bytes]:
        """A command's list."""
        return texts(self._replies[self._tickets[ticket]][0])
