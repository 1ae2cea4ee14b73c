"""Every change has its own sequence: 1, 2, 3, …"""

from collections.abc import Iterator

from tests.chaos.checks.ledger import Book, Ledger
from tests.chaos.checks.promises import LINEARIZABLE, SEQUENCES
from tests.chaos.history import Violation


def sequences(ledger: Ledger) -> Iterator[Violation]:
    """None is missing, none is given twice, none was made by nobody."""
    for book in ledger.books.values():
        yield from _holes(book)
        yield from _twice(book)
        for event in book.events.values():
            if event["message_id"] not in ledger.by_id:
                yield Violation(SEQUENCES, f"{event['id']}: a change that no message asked for")


def real_time(ledger: Ledger) -> Iterator[Violation]:
    """What was answered before something else was asked stands before it."""
    for book in ledger.books.values():
        for sequence in book.timeline.impossible():
            text = (
                f"{book.name}/{sequence}: what was answered before the question to something "
                "with a lower sequence, or read before it was written"
            )
            yield Violation(LINEARIZABLE, text)
            break  # what follows follows from this


def _holes(book: Book) -> Iterator[Violation]:
    for sequence in range(1, book.last + 1):
        if sequence not in book.told and sequence not in book.events:
            yield Violation(SEQUENCES, f"{book.name}/{sequence}: nobody knows of this change")
    beyond = max(book.reads, default=0)
    if beyond > book.last:
        text = f"{book.reads[beyond][0]} saw change {beyond}; the last one is {book.last}"
        yield Violation(SEQUENCES, f"{book.name}: {text}")


def _twice(book: Book) -> Iterator[Violation]:
    for sequence, steps in book.told.items():
        if len(steps) > 1:
            made = " and ".join(map(str, steps))
            yield Violation(SEQUENCES, f"{book.name}/{sequence} was given to {made}")
