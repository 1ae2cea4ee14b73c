"""Dead letters as messages: looked at, sent again, removed. Every agent answers these.

A filter holds where every field that is given holds; without any, it is every dead letter.
Source: the wire contract, sections 1 and 6.
"""

from typing import Annotated, Final, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from holdfast_protocol.fields import (
    AgeSeconds,
    Explained,
    FetchLimit,
    FirstFault,
    Flag,
    JsonAny,
    NullMeans,
    Text,
    Time,
    placed_error,
)
from holdfast_protocol.limits import MAX_INTEGER

from .payload import Payload
from .results import Result

MAX_LETTER_IDS: Final = 1_000

LetterId: TypeAlias = Annotated[
    str,
    Field(min_length=1, max_length=255, pattern="^[^\\x00]*$"),
    Explained("must be a string of 1 to 255 characters"),
]
AtMost: TypeAlias = Annotated[
    int, Field(ge=1, le=MAX_INTEGER), Explained("must be an integer from 1")
]


def _default_limit() -> int:
    return 100


def _counted(ids: object) -> object:
    if isinstance(ids, list) and not 1 <= len(ids) <= MAX_LETTER_IDS:
        raise PydanticCustomError("explained", "must hold 1 to 1000 ids")
    return ids


LetterIds: TypeAlias = Annotated[
    list[LetterId],
    FirstFault(),
    BeforeValidator(_counted),
    Field(json_schema_extra={"minItems": 1, "maxItems": MAX_LETTER_IDS}),
]


class DeadLetterFilter(Payload):
    """Which dead letters: by the words of their headers, their message's action, their age."""

    reason: Text | None = None
    action: Text | None = None
    agent: Text | None = None
    older_than_seconds: AgeSeconds | None = None
    newer_than_seconds: AgeSeconds | None = None

    @property
    def filters(self) -> bool:
        """Whether any field narrows the choice."""
        return any(getattr(self, name) is not None for name in DeadLetterFilter.model_fields)


class AgentDeadLetters(DeadLetterFilter):
    """The oldest dead letters that match, without their bodies."""

    limit: Annotated[FetchLimit, NullMeans(_default_limit)] = 100


class AgentDeadLetter(Payload):
    """One dead letter with its body."""

    id: LetterId


class _Chosen(DeadLetterFilter):
    ids: LetterIds | None = None
    all: Annotated[Flag, NullMeans(bool)] = False
    dry_run: Annotated[Flag, NullMeans(bool)] = False
    limit: AtMost | None = None

    @model_validator(mode="after")
    def _deliberate(self) -> Self:
        if self.ids is None and not self.all and not self.filters:
            raise placed_error("needs ids, a filter, or all: true")
        return self


class AgentDeadLettersReplay(_Chosen):
    """Send the dead letters that match to where they were going, and remove them."""


class AgentDeadLettersPurge(_Chosen):
    """Remove the dead letters that match, for good."""


class DeadLetter(Result):
    """A message that was given up, and why.

    `action`, `message_id` and `sender` are None where they could not be read; for an array
    they are those of its first message. `at` is when it was given up, `attempts` how often it
    was delivered, `bytes` the size of its body.
    """

    id: str
    reason: str
    agent: str
    error: str
    action: str | None = None
    message_id: str | None = None
    sender: str | None = None
    routing_key: str
    attempts: Annotated[int, Field(ge=1)]
    at: Time | None = None
    bytes: Annotated[int, Field(ge=0)]


class DeadLetterDetail(DeadLetter):
    """A dead letter with its body: `message` where it is JSON, else the beginning as `text`."""

    message: JsonAny = None
    text: str | None = None


class DeadLettersReplayed(Result):
    """How many matched, were sent again, and could not be (those are still there)."""

    matched: Annotated[int, Field(ge=0)]
    replayed: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]
    dry_run: bool


class DeadLettersPurged(Result):
    """How many matched, and were removed."""

    matched: Annotated[int, Field(ge=0)]
    purged: Annotated[int, Field(ge=0)]
    dry_run: bool
