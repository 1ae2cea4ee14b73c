"""All planted defects. A suite that lets one of them pass is red."""

from types import FunctionType
from typing import Final, cast

from tests.chaos.checks import promises as p

from . import answering, committing, rules, telling
from .contract import Mutant


def _mutant(plant: object, *promises: str) -> Mutant:
    """A defect that is named and described by the function that plants it."""
    function = cast("FunctionType", plant)
    name = function.__name__.replace("_", "-")
    defect = " ".join((function.__doc__ or "").split())
    return Mutant(name, defect, function, frozenset(promises))


_ORDER = (p.SEQUENCES, p.LINEARIZABLE, p.KEPT, p.EVENTS, p.ONE_EFFECT, p.UNIQUE_IDS, p.VERSIONS)

MUTANTS: Final[tuple[Mutant, ...]] = (
    # around the commit
    _mutant(committing.reply_before_commit, *_ORDER),
    _mutant(committing.identity_in_a_commit_of_its_own, p.ONE_EFFECT, *_ORDER),
    _mutant(committing.load_outside_the_unit, *_ORDER, p.ANSWERED),
    _mutant(committing.head_believed, *_ORDER, p.ANSWERED),
    _mutant(committing.swallowed_connection_error, *_ORDER),
    _mutant(committing.conflict_counts_as_commit, *_ORDER),
    _mutant(committing.unknown_commit_is_tried_as_new, *_ORDER, p.SAME_ANSWER),
    _mutant(committing.no_inbox, *_ORDER, p.SAME_ANSWER),
    _mutant(committing.payload_not_compared, *_ORDER, p.SAME_ANSWER),
    _mutant(committing.late_and_not_looked_up, p.SAME_ANSWER),
    # between the bus and the store
    _mutant(answering.ack_before_commit, p.ANSWERED),
    _mutant(answering.never_acked, p.ANSWERED),
    _mutant(answering.acked_without_reply, p.ANSWERED),
    _mutant(answering.dropped_when_busy, p.ANSWERED),
    _mutant(answering.refused_without_dead_letter, p.ANSWERED),
    _mutant(answering.answers_exchanged),
    _mutant(answering.read_from_a_cache, p.LINEARIZABLE),
    _mutant(answering.everything_remembered, p.MEMORY),
    # rules
    _mutant(rules.half_a_batch_stays, p.WHOLE_BATCH, *_ORDER),
    _mutant(rules.version_begins_anew, p.VERSIONS, *_ORDER),
    _mutant(rules.version_kept_now_and_then, p.VERSIONS, *_ORDER),
    _mutant(rules.id_given_again, p.UNIQUE_IDS, *_ORDER),
    _mutant(rules.expected_version_ignored, *_ORDER),
    _mutant(rules.fence_ignored, p.LOCKED),
    _mutant(rules.lease_token_given_again, p.LOCKED),
    _mutant(rules.second_holder, p.LOCKED),
    _mutant(rules.lease_never_ends, p.LOCKED),
    _mutant(rules.cancelled_only_this_time, p.CANCELLED, p.SAME_ANSWER),
    _mutant(rules.cancelled_after_it_was_done, p.CANCELLED, p.SAME_ANSWER),
    _mutant(rules.duplicate_answered_anew, p.SAME_ANSWER, p.VERSIONS),
    _mutant(rules.deadline_before_identity, p.SAME_ANSWER, p.LINEARIZABLE),
    _mutant(rules.refusal_forgotten, p.SAME_ANSWER, p.LINEARIZABLE),
    # what is told of changes
    _mutant(telling.lost_outbox_row, p.EVENTS),
    _mutant(telling.event_of_the_state_before, p.EVENTS),
    _mutant(telling.event_without_its_message, *_ORDER),
    _mutant(telling.marked_before_it_is_published, p.PUBLISHED),
    _mutant(telling.unannounced_page_is_skipped, p.PUBLISHED),
    _mutant(telling.everybody_leads, p.PUBLISHED),
    _mutant(telling.gap_not_fetched, p.HEARD),
)
