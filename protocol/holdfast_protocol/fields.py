"""The field types that envelopes and payloads share: cheap to check, plainly described.

Source: the wire contract, sections 2, 6 and 10. Every scalar carries one sentence of ours as
its error, so that no text of the validation library (and no input) reaches a response.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, JsonValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core import core_schema as cs

from .limits import MAX_INTEGER
from .times import parse_time

# Labels of union branches, dropped from error locations; a NUL cannot stand in a wire key.
VALUE_BRANCH: Final = "\0value"
NULL_BRANCH: Final = "\0null"


@dataclass(frozen=True, slots=True)
class Explained:
    """Replaces every error of the annotated type by one sentence of ours."""

    message: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return cs.custom_error_schema(
            handler(source), custom_error_type="explained", custom_error_message=self.message
        )


@dataclass(frozen=True, slots=True)
class NullMeans:
    """`null` stands for the field's default (wire contract, section 10 "Checks").

    Costs nothing for other values: the null branch is only tried when the type refused.
    """

    default: Callable[[], object]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        null = cs.no_info_after_validator_function(lambda _: self.default(), cs.none_schema())
        return cs.union_schema(
            [(handler(source), VALUE_BRANCH), (null, NULL_BRANCH)], mode="left_to_right"
        )


@dataclass(frozen=True, slots=True)
class Opaque:
    """A JSON object or array taken as it is, neither walked nor copied.

    Values are checked once as text by the codec and once as documents by the backends;
    walking them here as well would cost more than the whole envelope.
    """

    type_: type[dict[str, JsonValue]] | type[list[JsonValue]]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        is_object = self.type_ is dict
        taken = cs.custom_error_schema(
            cs.is_instance_schema(self.type_),
            custom_error_type="explained",
            custom_error_message="must be an object" if is_object else "must be an array",
        )
        # The first schema only describes (JSON Schema); Python values meet the second.
        described: CoreSchema = cs.dict_schema() if is_object else cs.list_schema()
        return cs.json_or_python_schema(described, taken)


@dataclass(frozen=True, slots=True)
class AnyJson:
    """Any JSON value, taken as it is."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return cs.any_schema()


@dataclass(frozen=True, slots=True)
class FirstFault:
    """A list that is refused at its first fault: millions of them would fill the memory."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        (item,) = get_args(source)
        return cs.list_schema(handler.generate_schema(item), strict=True, fail_fast=True)


def _time(value: object) -> datetime:
    if isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError:
            pass
    elif isinstance(value, datetime) and value.utcoffset() is not None:
        return value
    raise PydanticCustomError("explained", "must be an RFC 3339 time with Z or an offset")


@dataclass(frozen=True, slots=True)
class WireTime:
    """An RFC 3339 text, or an aware datetime, as an aware datetime."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return cs.json_or_python_schema(
            cs.datetime_schema(), cs.no_info_plain_validator_function(_time)
        )


@dataclass(frozen=True, slots=True)
class WireRecordId:
    """An integer 1 to 2^63-1 or a text of 1 to 255 code points; `true` and `1.0` are none."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return cs.union_schema(
            [
                cs.int_schema(strict=True, ge=1, le=MAX_INTEGER),
                cs.str_schema(strict=True, min_length=1, max_length=255, pattern=_NO_NUL),
            ],
            mode="left_to_right",
            custom_error_type="explained",
            custom_error_message=RECORD_ID_RULE,
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """A value that a function of ours checks, instead of the annotated type.

    The function gets an instance of the type's class and raises `placed_error` at the first
    fault: a million faults would otherwise become a million errors. The type still describes
    (JSON Schema).
    """

    class_: type
    check: Callable[..., object]
    message: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        instance = cs.custom_error_schema(
            cs.is_instance_schema(self.class_),
            custom_error_type="explained",
            custom_error_message=self.message,
        )
        checked = cs.no_info_after_validator_function(self.check, instance)
        return cs.json_or_python_schema(handler(source), checked)


RECORD_ID_RULE: Final = "must be an integer from 1 to 2^63-1 or a string of 1 to 255 characters"
_NO_NUL: Final = "^[^\\x00]*$"
_LOCK_NAME: Final = "^[^$\\x00][^\\x00]*$"
_PATH: Final = r"^[^.$\x00][^.\x00]*(?:\.[^.$\x00][^.\x00]*)*$"
PATH_RULE: Final = "must be a dotted path without empty segments or segments that begin with $"
NUMBER_RULE: Final = "must be a finite number, integers within 64 bits"

JsonObject = Annotated[dict[str, JsonValue], Opaque(dict)]
JsonAny = Annotated[JsonValue, AnyJson()]

Text = Annotated[
    str, Field(pattern=_NO_NUL), Explained("must be a string without NUL or lone surrogates")
]
Identifier = Annotated[
    str,
    Field(min_length=1, max_length=128, pattern=_NO_NUL),
    Explained("must be a string of 1 to 128 characters"),
]
ActionName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]{0,63}$"),
    Explained("must be a name of 1 to 64 characters: a-z first, then a-z, 0-9 or _"),
]
Time = Annotated[datetime, WireTime()]

CollectionName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$"),
    Explained("must be a name of 1 to 63 characters: a-z first, then a-z, 0-9, _ or -"),
]
RecordId = Annotated[int | str, WireRecordId()]
Path = Annotated[
    str,
    Field(pattern=_PATH),
    Explained(PATH_RULE),
]
Version = Annotated[
    int, Field(ge=0, le=MAX_INTEGER), Explained("must be an integer that is not negative")
]
Ttl = Annotated[
    float,
    Field(gt=0, le=3_155_760_000, allow_inf_nan=False),
    Explained("must be a number above 0 and at most 3155760000"),
]
LeaseSeconds = Annotated[
    float,
    Field(gt=0, le=86_400, allow_inf_nan=False),
    Explained("must be a number above 0 and at most 86400"),
]
AgeSeconds = Annotated[
    float,
    Field(ge=0, le=3_155_760_000, allow_inf_nan=False),
    Explained("must be a number from 0 to 3155760000"),
]
LockName = Annotated[
    str,
    Field(min_length=1, max_length=255, pattern=_LOCK_NAME),
    Explained("must be a string of 1 to 255 characters that does not begin with $"),
]
Token = Annotated[
    int, Field(ge=1, le=MAX_INTEGER), Explained("must be an integer from 1 to 2^63-1")
]
EventSequence = Annotated[
    int, Field(ge=0, le=MAX_INTEGER), Explained("must be an integer from 0 to 2^63-1")
]
FetchLimit = Annotated[int, Field(ge=1, le=1_000), Explained("must be an integer from 1 to 1000")]
PageLimit = Annotated[int, Field(ge=1, le=10_000), Explained("must be an integer from 1 to 10000")]
Flag = Annotated[bool, Explained("must be true or false")]
Direction = Annotated[Literal["asc", "desc"], Explained('must be "asc" or "desc"')]


def placed_error(message: str, *place: str | int) -> PydanticCustomError:
    """An error of a whole model that names the place inside it."""
    return PydanticCustomError("placed", "{message}", {"message": message, "place": list(place)})
