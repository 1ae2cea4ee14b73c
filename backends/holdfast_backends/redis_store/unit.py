"""Writing. A unit is a snapshot whose changes apply only if its state has not passed meanwhile."""

import os
from collections.abc import Sequence

from holdfast_backends.errors import StorageError, TooLargeError
from holdfast_backends.store import Changes, CommitConflictError

from .client import Argument
from .commands import Commands
from .layout import ALL
from .leases import LeasedError
from .scripts import COMMIT, MAX_ARGUMENTS
from .snapshot import RedisSnapshot
from .writes import Writes

_MAX_BYTES = 64 * 1024 * 1024


class RedisUnit(RedisSnapshot):
    """See store.Unit."""

    _committed = False

    async def commit(self, changes: Changes) -> None:
        """See store.Unit; one round trip, one script.

        Raises:
            TooLargeError: more than 64 MiB at once; nothing was committed. The server would
                not answer in time, so that nobody ever knew whether it was.
        """
        if self._committed:
            raise StorageError("a unit is committed at most once")
        self._committed = True
        if changes == Changes():
            return
        _check_size(changes)
        names = {*changes.heads, *(name for name, _key in changes.rows), *changes.events}
        names |= changes.fenced
        changed = [name.encode() for name in sorted(names)]
        leases = [self._layout.lease(name) for name in (*changed, ALL)]
        commands = self._commands(leases)
        writes = Writes(self._layout)
        writes.gather(changes, self._heads)
        self._order(commands, writes, changed, deletes=_only_deletes(changes))
        conditions = self._conditions(len(leases), writes.identities)
        arguments = [*commands.types, *conditions, *commands.arguments]
        _succeed(await self._client.call(COMMIT, commands.keys, arguments))

    def _commands(self, leases: Sequence[bytes]) -> Commands:
        first = [(lease, b"string") for lease in leases]
        return Commands(
            [*first, (self._layout.revisions, b"hash"), (self._layout.replies, b"hash")]
        )

    def _order(
        self, commands: Commands, writes: Writes, changed: Sequence[bytes], *, deletes: bool
    ) -> None:
        # When its memory is used up, the server refuses a script whose first write may need
        # some. So that comes first, and nothing is half done; but what only deletes may go on.
        if deletes:
            writes.removals(commands)
        if changed:
            # Revisions are compared, never counted: a server that lost its last commits in a
            # failover cannot come back to a revision that was seen with another state.
            revision = os.urandom(8)
            arguments = [part for name in (*changed, ALL) for part in (name, revision)]
            commands.add(b"HSET", self._layout.revisions, arguments)
        if not deletes:
            writes.removals(commands)
        writes.additions(commands)

    def _conditions(self, leases: int, identities: Sequence[bytes]) -> list[Argument]:
        conditions: list[Argument] = [self._lease.token if self._lease else b"", leases]
        conditions.append(len(self._pins))
        for field, revision in self._pins.items():
            conditions += (field, revision)
        firsts = range(0, len(identities), MAX_ARGUMENTS)
        conditions.append(len(firsts))
        for first in firsts:
            chunk = identities[first : first + MAX_ARGUMENTS]
            conditions += (len(chunk), *chunk)
        return conditions


def _only_deletes(changes: Changes) -> bool:
    rows = changes.rows.values()
    return bool(rows) and all(change.row.document is None for change in rows)


def _check_size(changes: Changes) -> None:
    size = sum(len(change.row.document or b"") for change in changes.rows.values())
    size += sum(len(reply.outcome) for reply in changes.replies.values())
    size += sum(len(event.document) for events in changes.events.values() for event in events)
    if size > _MAX_BYTES:
        raise TooLargeError(f"at most {_MAX_BYTES} bytes can be written at once", {"bytes": size})


def _succeed(answer: object) -> None:
    match answer:
        case b"done":
            return
        case b"leased":
            raise LeasedError
        case b"changed":
            raise CommitConflictError
        case _:
            raise StorageError("a key of the store holds something that is not the store's")
