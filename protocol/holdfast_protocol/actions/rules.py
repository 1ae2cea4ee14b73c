"""Rules inside storage payloads that need more than a field's type.

Source: the wire contract, sections 6 and 10.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field, JsonValue, Strict
from pydantic_core import PydanticCustomError

from holdfast_protocol.fields import (
    NUMBER_RULE,
    PATH_RULE,
    RECORD_ID_RULE,
    Checked,
    Direction,
    FirstFault,
    Path,
    placed_error,
)
from holdfast_protocol.limits import MAX_INTEGER, MIN_INTEGER

MAX_ID_LENGTH: Final = 255
MAX_INDEX_PATHS: Final = 16

_MAX_PATH: Final = 64 * 257  # a document has 64 levels, and keys of 256 characters
_PATH: Final = re.compile(r"[^.$\0][^.\0]*(?:\.[^.$\0][^.\0]*)*")


def is_record_id(value: JsonValue) -> bool:
    """Whether the value can name a record: `true`, `1.0` and `""` cannot."""
    if type(value) is int:
        return 0 < value <= MAX_INTEGER
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH and "\0" not in value


def check_document_id(record_id: JsonValue, name: str) -> None:
    """Raises a placed error when a document's `id` cannot be one."""
    if not is_record_id(record_id):
        raise placed_error(RECORD_ID_RULE, name, "id")


def check_changes_id(changes: Mapping[str, JsonValue], record_id: int | str) -> None:
    """An equal `id` in `changes` is tolerated; null or another one is not."""
    if "id" not in changes:
        return
    given = changes["id"]
    if type(given) is not type(record_id) or given != record_id:
        raise placed_error("cannot be changed", "changes", "id")


def _paths(paths: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """No action may change an id, nor anything below it."""
    for path in paths:
        if not isinstance(path, str) or len(path) > _MAX_PATH or _PATH.fullmatch(path) is None:
            raise placed_error(PATH_RULE, str(path))
        if path == "id" or path.startswith("id."):
            raise placed_error("cannot be changed", path)
    return paths


def _increments(increments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for path, number in _paths(increments).items():
        if type(number) is int:
            good = MIN_INTEGER <= number <= MAX_INTEGER
        else:
            good = type(number) is float and isfinite(number)
        if not good:
            raise placed_error(NUMBER_RULE, path)
    return increments


def _appends(appends: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for path, values in _paths(appends).items():
        if not isinstance(values, list):
            raise placed_error("must be an array", path)
    return appends


def _at_most_sixteen(paths: list[str]) -> list[str]:
    if len(paths) > MAX_INDEX_PATHS:
        raise PydanticCustomError("explained", "must hold at most 16 paths")
    return paths


Increments: TypeAlias = Annotated[
    dict[Path, int | float], Checked(dict, _increments, "must be an object of numbers")
]
Appends: TypeAlias = Annotated[
    dict[Path, list[JsonValue]], Checked(dict, _appends, "must be an object of arrays")
]
SortKey: TypeAlias = Annotated[tuple[Path, Direction], Strict(False)]
Sort: TypeAlias = Annotated[list[SortKey], FirstFault()]
Paths: TypeAlias = Annotated[list[Path], FirstFault()]
IndexPaths: TypeAlias = Annotated[
    Paths,
    AfterValidator(_at_most_sixteen),
    Field(json_schema_extra={"maxItems": MAX_INDEX_PATHS}),
]
