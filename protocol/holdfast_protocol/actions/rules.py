"""Rules inside storage payloads that need more than a field's type.

Source: the wire contract, sections 6 and 10.
"""

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, JsonValue, Strict
from pydantic_core import PydanticCustomError

from holdfast_protocol.fields import RECORD_ID_RULE, Direction, Path, WireNumber, placed_error
from holdfast_protocol.limits import MAX_INTEGER

MAX_ID_LENGTH = 255
MAX_INDEX_PATHS = 16

Number = Annotated[int | float, WireNumber()]
SortKey: TypeAlias = Annotated[tuple[Path, Direction], Strict(False)]


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


def check_no_id_path(paths: Mapping[str, object] | None, name: str) -> None:
    """No action may change an id, nor anything below it."""
    for path in paths or ():
        if path == "id" or path.startswith("id."):
            raise placed_error("cannot be changed", name, path)


def _at_most_sixteen(paths: list[str]) -> list[str]:
    if len(paths) > MAX_INDEX_PATHS:
        raise PydanticCustomError("explained", "must hold at most 16 paths")
    return paths


IndexPaths: TypeAlias = Annotated[
    list[Path],
    AfterValidator(_at_most_sixteen),
    Field(json_schema_extra={"maxItems": MAX_INDEX_PATHS}),
]
