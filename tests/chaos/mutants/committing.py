"""Defects around the commit: what is decided, kept and told apart from each other."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from holdfast_agents.storage import requests
from holdfast_backends import executor
from holdfast_backends.errors import UnavailableError
from holdfast_backends.executor import Executor
from holdfast_backends.operations import Delete, Operation, Save, Transaction, Update
from holdfast_backends.outcomes import Outcome
from holdfast_backends.running import execute_all
from holdfast_backends.store import Changes, CommitConflictError, Head, Loaded, Snapshot, Wanted
from holdfast_backends.survey import Survey, survey_of

from .contract import Patcher


def reply_before_commit(patch: Patcher) -> None:
    """What is answered is a rehearsal; the commit follows when it likes."""
    real = Executor.execute
    under_way: set[asyncio.Task[object]] = set()

    async def execute(self: Executor, operations: Sequence[Operation]) -> list[Outcome]:
        rehearsed = await _rehearsed(self, operations)
        if rehearsed is None:
            return await real(self, operations)
        task: asyncio.Task[object] = asyncio.ensure_future(real(self, operations))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        return rehearsed

    patch.replace(Executor, "execute", execute)


async def _rehearsed(self: Executor, operations: Sequence[Operation]) -> list[Outcome] | None:
    survey = survey_of(operations)
    if not survey.writes:
        return None
    wanted = survey.wanted()
    async with self._store.read() as snapshot:
        workspace = self._workspace(await _loaded(snapshot, wanted))
        return await execute_all(operations, survey.identities, snapshot, workspace)


async def _loaded(snapshot: Snapshot, wanted: Wanted) -> Loaded:
    return await snapshot.load(wanted)


def identity_in_a_commit_of_its_own(patch: Patcher) -> None:
    """First the effect, then, in another commit, that it happened."""

    async def attempt(
        self: Executor, operations: Sequence[Operation], survey: Survey, wanted: Wanted
    ) -> list[Outcome]:
        async with self._store.write(wanted.collections, everything=survey.everything) as unit:
            workspace = self._workspace(await _loaded(unit, wanted))
            outcomes = await execute_all(operations, survey.identities, unit, workspace)
            changes = workspace.changes()
            replies, changes.replies = changes.replies, {}
            if changes.rows or changes.heads:
                await unit.commit(changes)
        if replies:
            async with self._store.write(wanted.collections) as unit:
                await unit.load(wanted)
                await unit.commit(Changes(replies=replies))
        self._committed(changes)
        return outcomes

    patch.replace(Executor, "_attempt", attempt)
    patch.replace(Executor, "_append", _no_append)


def load_outside_the_unit(patch: Patcher) -> None:
    """Reads first, and takes the lock only to write: others come between."""

    async def attempt(
        self: Executor, operations: Sequence[Operation], survey: Survey, wanted: Wanted
    ) -> list[Outcome]:
        async with self._store.read() as snapshot:
            workspace = self._workspace(await _loaded(snapshot, wanted))
            outcomes = await execute_all(operations, survey.identities, snapshot, workspace)
        if workspace.is_changed:
            changes = workspace.changes()
            async with self._store.write(wanted.collections, everything=survey.everything) as unit:
                await unit.load(Wanted(wanted.collections, [], []))
                await unit.commit(changes)
            self._committed(changes)
        return outcomes

    patch.replace(Executor, "_attempt", attempt)
    patch.replace(Executor, "_append", _no_append)


def swallowed_connection_error(patch: Patcher) -> None:
    """A commit of which nothing is known counts as done."""

    async def attempt(
        self: Executor, operations: Sequence[Operation], survey: Survey, wanted: Wanted
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            async with self._store.write(wanted.collections, everything=survey.everything) as unit:
                workspace = self._workspace(await _loaded(unit, wanted))
                outcomes = await execute_all(operations, survey.identities, unit, workspace)
                if workspace.is_changed:
                    changes = workspace.changes()
                    await unit.commit(changes)
                    self._committed(changes)
        except UnavailableError:
            if not outcomes:
                raise
        return outcomes

    patch.replace(Executor, "_attempt", attempt)
    patch.replace(Executor, "_append", _no_append)


def conflict_counts_as_commit(patch: Patcher) -> None:
    """That another process came between is taken for success."""
    real = Executor._attempt

    async def attempt(
        self: Executor, operations: Sequence[Operation], survey: Survey, wanted: Wanted
    ) -> list[Outcome]:
        try:
            return await real(self, operations, survey, wanted)
        except CommitConflictError:
            rehearsed = await _rehearsed(self, operations)
            if rehearsed is None:
                raise
            return rehearsed

    patch.replace(Executor, "_attempt", attempt)


def unknown_commit_is_tried_as_new(patch: Patcher) -> None:
    """After a commit of which nothing is known, the batch is executed as if nobody knew it."""
    real = Executor.execute

    async def execute(self: Executor, operations: Sequence[Operation]) -> list[Outcome]:
        try:
            return await real(self, operations)
        except UnavailableError:
            return await real(self, [_anonymous(operation) for operation in operations])

    patch.replace(Executor, "execute", execute)


def _anonymous(operation: Operation) -> Operation:
    match operation:
        case Save() | Update() | Delete() | Transaction():
            return replace(operation, identity=None)
        case _:
            return operation


def no_inbox(patch: Patcher) -> None:
    """Nobody remembers which messages were executed."""
    patch.replace(requests, "_identity", lambda _message: None)


def payload_not_compared(patch: Patcher) -> None:
    """A message id that comes with another payload is answered as the first."""
    patch.replace(requests, "payload_digest", lambda _action, _payload: b"")


def late_and_not_looked_up(patch: Patcher) -> None:
    """What comes again after its deadline beside new records is refused, not looked up."""
    patch.replace(executor, "_has_deadline", lambda _identity: False)


async def _no_append(_self: Executor, _operations: Sequence[Operation]) -> list[Outcome] | None:
    return None


def head_believed(patch: Patcher) -> None:
    """The next id and sequence are taken from memory, whatever the store says."""
    real = executor._load
    remembered: dict[str, Head] = {}

    async def load(snapshot: Snapshot, wanted: Wanted) -> Loaded:
        loaded = await real(snapshot, wanted)
        heads = dict(loaded.heads)
        for name in wanted.collections:
            heads[name] = remembered.get(name, heads.get(name, Head()))
        return Loaded(heads, loaded.rows, loaded.replies)

    real_attempt = Executor._attempt

    async def attempt(
        self: Executor, operations: Sequence[Operation], survey: Survey, wanted: Wanted
    ) -> list[Outcome]:
        outcomes = await real_attempt(self, operations, survey, wanted)
        remembered.update({name: self._heads[name] for name in wanted.collections})
        return outcomes

    patch.replace(executor, "_load", load)
    patch.replace(Executor, "_attempt", attempt)
    patch.replace(Executor, "_append", _no_append)
