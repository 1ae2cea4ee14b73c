"""Defects in the rules of records, locks and identities."""

from holdfast_backends import locking, running, workspace
from holdfast_backends.errors import DeadlineError, RequestCancelledError
from holdfast_backends.identity import Identity
from holdfast_backends.lock_operations import Acquire, lock_place
from holdfast_backends.operations import Delete, Operation, Update
from holdfast_backends.outcomes import Failed, Found, Leased, Outcome, Saved
from holdfast_backends.replies import decode_outcome
from holdfast_backends.store import Head, Row
from holdfast_backends.workspace import Workspace

from .contract import Patcher


def half_a_batch_stays(patch: Patcher) -> None:
    """What was done before an atomic batch failed is not undone."""
    patch.replace(Workspace, "undo", Workspace.keep)


def version_begins_anew(patch: Patcher) -> None:
    """A record that is created again after its deletion begins at version 1."""
    real = Workspace._saved_row

    def saved_row(
        self: Workspace, key: bytes, document: bytes, present: Row | None, ttl: float | None
    ) -> Row:
        before = None if present is not None and present.document is None else present
        return real(self, key, document, before, ttl)

    patch.replace(Workspace, "_saved_row", saved_row)


def id_given_again(patch: Patcher) -> None:
    """Deleting the newest record gives its id free."""
    real = Workspace.delete

    def delete(self: Workspace, operation: Delete) -> Found:
        found = real(self, operation)
        head = self.head(operation.collection)
        if operation.id == head.next_id - 1:
            lower = Head(head.next_id - 1, head.slots, head.sequence)
            self._put_head(operation.collection, lower)
        return found

    patch.replace(Workspace, "delete", delete)


def expected_version_ignored(patch: Patcher) -> None:
    """`if_version` is not looked at."""
    patch.replace(workspace, "_check_version", lambda _row, _if_version: None)


def fence_ignored(patch: Patcher) -> None:
    """A fence lets everybody write."""
    patch.replace(running, "check_fence", lambda _fence, _workspace: None)


def lease_token_given_again(patch: Patcher) -> None:
    """A lock that was released begins again with its first token."""
    real = locking._acquire

    def acquire(operation: Acquire, at: Workspace) -> Leased:
        place = lock_place(operation.name)
        present = at.row(place)
        if present is not None and present.document is None:
            at._rows[place] = present._replace(version=0)
        return real(operation, at)

    patch.replace(locking, "_acquire", acquire)


def second_holder(patch: Patcher) -> None:
    """A lock that is held is given to whoever asks for it."""
    real = locking._acquire

    def acquire(operation: Acquire, at: Workspace) -> Leased:
        _end_lease(operation, at, at.now)
        return real(operation, at)

    patch.replace(locking, "_acquire", acquire)


def lease_never_ends(patch: Patcher) -> None:
    """A lock that was not released is refused for ever."""
    real = locking._acquire

    def acquire(operation: Acquire, at: Workspace) -> Leased:
        _end_lease(operation, at, at.now + 1)
        return real(operation, at)

    patch.replace(locking, "_acquire", acquire)


def _end_lease(operation: Acquire, at: Workspace, instant: int) -> None:
    """Have it end then, in microseconds since 1970, if it was not released."""
    place = lock_place(operation.name)
    present = at.row(place)
    if present is not None and present.document is not None:
        at._rows[place] = present._replace(expires_at=instant)


def cancelled_only_this_time(patch: Patcher) -> None:
    """That a message was cancelled is answered, but not kept: it takes effect when it comes
    again."""
    real = running._decided

    def decided(operation: Operation, identity: Identity, at: Workspace) -> Outcome | None:
        if identity.cancelled and at.stored(identity) is None:
            unwanted = RequestCancelledError("cancelled")
            return running._refused(operation, unwanted, at)
        return real(operation, identity, at)

    patch.replace(running, "_decided", decided)


def duplicate_answered_anew(patch: Patcher) -> None:
    """A duplicate is answered with the record as it is now, not with the first answer."""

    def decode(text: bytes, operation: Operation) -> Outcome:
        outcome = decode_outcome(text, operation)
        if isinstance(outcome, (Saved, Found)):
            version = outcome.record.version + 1
            return outcome._replace(record=outcome.record._replace(version=version))
        return outcome

    patch.replace(running, "decode_outcome", decode)


def deadline_before_identity(patch: Patcher) -> None:
    """A duplicate that comes after the deadline is refused, although the first was executed."""
    real = running._decided

    def decided(operation: Operation, identity: Identity, at: Workspace) -> Outcome | None:
        if identity.deadline is not None and identity.deadline <= at.now:
            return running._refused(operation, DeadlineError(), at)
        return real(operation, identity, at)

    patch.replace(running, "_decided", decided)


def cancelled_after_it_was_done(patch: Patcher) -> None:
    """A cancellation overrides what was executed before: the answer says that it never was."""
    real = running._decided

    def decided(operation: Operation, identity: Identity, at: Workspace) -> Outcome | None:
        if identity.cancelled:
            unwanted = RequestCancelledError("cancelled")
            return running._refused(operation, unwanted, at)
        return real(operation, identity, at)

    patch.replace(running, "_decided", decided)


def refusal_forgotten(patch: Patcher) -> None:
    """Only successes are remembered: a duplicate of what was refused may be executed."""
    real = Workspace.remember

    def remember(self: Workspace, identity: Identity, outcome: Outcome) -> None:
        if not isinstance(outcome, Failed):
            real(self, identity, outcome)

    patch.replace(Workspace, "remember", remember)


def version_kept_now_and_then(patch: Patcher) -> None:
    """Every seventh update of a record leaves its version as it was."""
    real = Workspace.update

    def update(self: Workspace, operation: Update) -> Found:
        found = real(self, operation)
        record = found.record
        if record.version % 7:
            return found
        present = self._rows[(operation.collection, record.key)]
        row = present._replace(version=record.version - 1)
        self._put_row(operation.collection, present, row)
        return found._replace(record=record._replace(version=row.version))

    patch.replace(Workspace, "update", update)
