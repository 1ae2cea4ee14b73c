"""What the tests of payloads share: parse one, or learn which places are refused."""

from typing import TypeVar

import pytest
from pydantic import JsonValue

from holdfast_protocol import ValidationError
from holdfast_protocol.actions import ACTIONS, Payload, parse_payload

P = TypeVar("P", bound=Payload)


def parse(model: type[P], payload: dict[str, JsonValue]) -> P:
    spec = next(spec for spec in ACTIONS.values() if spec.payload is model)
    parsed = parse_payload(spec, payload)
    assert isinstance(parsed, model)
    return parsed


def refuse(model: type[Payload], payload: dict[str, JsonValue]) -> list[JsonValue]:
    """The places that are named when the payload is refused."""
    with pytest.raises(ValidationError) as caught:
        parse(model, payload)
    errors = caught.value.details["errors"]
    assert isinstance(errors, list)
    return [error["loc"] for error in errors if isinstance(error, dict)]
