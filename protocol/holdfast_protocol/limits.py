"""The limits of a message as text. Source: the wire contract, sections 5, 7 and 10."""

from dataclasses import dataclass
from typing import Final

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_MESSAGES: Final = 1_000
# What the contract allows at most is an operand of a filter: message, payload, operations,
# operation, its payload and filters (6), eight combinators (16), `{"path": {"$not": {"$in": [`
# (3), and a value inside a document (63) make 88. A document stands below at most 5 levels.
# The backends hold documents to exactly 64 levels; this limit only bounds the message.
MAX_MESSAGE_LEVELS: Final = 96
MAX_RESPONSE_BYTES: Final = 8 * 1024 * 1024

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What the codec accepts of one AMQP message.

    `message_bytes` bounds the body, `messages` the length of an array, `levels` the nesting
    of each message (the message object is level 1, scalars count none).
    """

    message_bytes: int = MAX_MESSAGE_BYTES
    messages: int = MAX_MESSAGES
    levels: int = MAX_MESSAGE_LEVELS
