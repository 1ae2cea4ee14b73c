"""Typical causes of differences are put into words."""

import pytest
from pydantic import JsonValue

from holdfast_agents.replay import Comparison, Report
from holdfast_agents.replay.hints import hint
from holdfast_protocol.logs import LoggedExchange
from holdfast_protocol.messages import AgentMessage, AgentResponse

SUCCESS = AgentResponse(status="success", result=1)


def error(error_type: str, **details: JsonValue) -> AgentResponse:
    return AgentResponse(status="error", error="no", error_type=error_type, details=details)


def told(expected: AgentResponse, got: AgentResponse, *, timed: bool = False) -> str:
    message = AgentMessage(action="storage_get", payload={"collection": "notes"})
    differences = Comparison().differences(message.action, expected, got)
    assert differences
    exchange = LoggedExchange("storage", message, expected)
    return hint(exchange, got, differences, Report(), timed=timed) or ""


@pytest.mark.parametrize(
    ("expected", "got", "cause"),
    [
        (SUCCESS, error("unavailable"), "was in trouble"),
        (SUCCESS, error("storage_error"), "was in trouble"),
        (SUCCESS, error("unknown_action"), "of another version"),
        (SUCCESS, error("validation_error"), "rules have changed"),
        (error("conflict"), error("validation_error"), ""),
        (error("conflict", current_version=1), error("conflict", current_version=2), "made twice"),
        (SUCCESS, AgentResponse(status="success", result=2), ""),
        (SUCCESS, error("not_found"), ""),
    ],
)
def test_errors_have_their_typical_causes(
    expected: AgentResponse, got: AgentResponse, cause: str
) -> None:
    said = told(expected, got)
    assert cause in said
    assert bool(said) == bool(cause)


def test_what_is_missing_may_have_expired_where_the_log_lets_something_expire() -> None:
    assert "a TTL or a lease ran out" in told(SUCCESS, error("not_found"), timed=True)
    assert "a TTL or a lease ran out" in told(error("not_found"), SUCCESS, timed=True)
