"""Dead letters: what was given up is listed, shown, sent again and removed."""

from .actions import dead_letter_actions
from .choosing import Choice
from .desk import DeadLetterDesk, Listing, Replayed
from .walking import Progress

__all__ = [
    "Choice",
    "DeadLetterDesk",
    "Listing",
    "Progress",
    "Replayed",
    "dead_letter_actions",
]
