"""Answers as the contract promises them. Whatever else comes is an InternalError."""

from typing import TypeVar

import pydantic
from pydantic import BaseModel, JsonValue

from holdfast_protocol.errors import InternalError

M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], value: JsonValue) -> M:
    """The typed form of a result. Raises InternalError when it is none."""
    try:
        return model.model_validate(value)
    except pydantic.ValidationError:
        raise unexpected(model.__name__) from None


def listed(value: JsonValue) -> list[JsonValue]:
    """The result as a list. Raises InternalError when it is none."""
    if not isinstance(value, list):
        raise unexpected("list")
    return value


def unexpected(what: str) -> InternalError:
    """The error for an answer that lacks what the contract promises there."""
    return InternalError(f"The agent's answer is not what the contract promises: no {what}")
