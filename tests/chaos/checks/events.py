"""Every change is told once, in order, as it was; and heard so."""

from collections.abc import Iterator, Sequence

from tests.chaos.checks.ledger import Book, Event
from tests.chaos.checks.promises import EVENTS, HEARD, PUBLISHED
from tests.chaos.checks.replay import Replay
from tests.chaos.checks.rules import NOTHING, same
from tests.chaos.history import Violation

_TOLD = ("id", "kind", "record_id", "version", "sequence", "message_id", "sender")


def events(replay: Replay) -> Iterator[Violation]:
    """The store's events against the answers."""
    book = replay.book
    yield from _in_order(book)
    for sequence in book.told:
        if sequence not in book.events:
            yield Violation(EVENTS, f"{book.name}/{sequence}: there is no event of this change")
    for event in book.kept.events:
        yield from _as_it_was(replay, event)


def heard(replay: Replay) -> Iterator[Violation]:
    """What a subscription was given against the store's events: the same, each once."""
    given = replay.book.kept.heard
    if given is None:
        return
    stored: Sequence[Event] = replay.book.kept.events
    for place, (one, other) in enumerate(zip(given, stored, strict=False)):
        if not _equal(one, other):
            text = f"heard {one['id']} at place {place}, where the store tells {other}: {one}"
            yield Violation(HEARD, f"{replay.book.name}: {text}")
            return  # all that follow are moved
    if len(given) != len(stored):
        text = f"heard {len(given)} events; the store tells {len(stored)}"
        yield Violation(HEARD, f"{replay.book.name}: {text}")


def published(replay: Replay) -> Iterator[Violation]:
    """What a queue held: every event, in order, where repeats do not count."""
    given, highest = replay.book.kept.published, 0
    if given is None:
        return
    for event in given:
        sequence, stored = event["sequence"], replay.book.events.get(event["sequence"])
        if sequence > highest + 1:
            text = f"{event['id']} was published after {replay.book.name}/{highest}"
            yield Violation(PUBLISHED, text)
        if stored is None or not _equal(event, stored):
            yield Violation(PUBLISHED, f"published {event}; the store tells {stored}")
        highest = max(highest, sequence)
    if highest < max(replay.book.events, default=0):
        text = f"{replay.book.name}/{highest} is the last one that was published"
        yield Violation(PUBLISHED, text)


def _in_order(book: Book) -> Iterator[Violation]:
    before = 0
    for event in book.kept.events:
        if event["sequence"] <= before:
            yield Violation(EVENTS, f"{event['id']} is told after {book.name}/{before}")
        before = event["sequence"]


def _as_it_was(replay: Replay, event: Event) -> Iterator[Violation]:
    """Kind, version and document; who did it is compared with the answers elsewhere."""
    sequence = event["sequence"]
    before = replay.at(event["record_id"], sequence - 1)
    after = replay.at(event["record_id"], sequence)
    if after is before:
        yield Violation(EVENTS, f"{event['id']}: record {event['record_id']!r} did not change")
        return
    kind, document = "updated", after.document
    if after.document is None:
        kind, document = "deleted", before.document
    elif before is NOTHING or before.document is None:
        kind = "created"
    expected = (f"{replay.book.name}/{sequence}", replay.book.name, kind, after.version)
    told = (event["id"], event["collection"], event["kind"], event["version"])
    if told != expected or not same(event["document"], document):
        yield Violation(EVENTS, f"{event['id']}: {event}; it was {expected} {document}")


def _equal(one: Event, other: Event) -> bool:
    named = all(one[name] == other[name] for name in _TOLD)
    return named and same(one["document"], other["document"])
