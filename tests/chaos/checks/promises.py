"""The promises that a history is held to; a `Violation` names one of them."""

from typing import Final

ANSWERED: Final = "every message is answered or dead-lettered"
SAME_ANSWER: Final = "a message that comes again gets the same answer"
ONE_EFFECT: Final = "a message has one effect"
KEPT: Final = "an acknowledged write is kept"
WHOLE_BATCH: Final = "a batch takes effect as a whole or not at all"
UNIQUE_IDS: Final = "an id is given once"
VERSIONS: Final = "versions rise by one"
SEQUENCES: Final = "every change has its own sequence, without a hole"
LINEARIZABLE: Final = "what is answered is what was true between question and answer"
EVENTS: Final = "every change is told once, completely and in order"
HEARD: Final = "a subscription hears every event in order"
MEMORY: Final = "memory is bounded"
RECOVERY: Final = "what was lost comes back in time"
