"""The agent's side of a response."""

import pytest

from holdfast_protocol import AgentMessage, ConflictError
from holdfast_protocol.replies import RawJson, Reply

MESSAGE = AgentMessage(action="storage_get", id="m-1", correlation_id="talk")


def test_success_answers_the_message() -> None:
    reply = Reply.success(MESSAGE, "storage", {"id": 7}, {"version": 1})
    assert (reply.status, reply.in_reply_to, reply.correlation_id) == ("success", "m-1", "talk")
    assert (reply.sender, reply.result, reply.meta) == ("storage", {"id": 7}, {"version": 1})


def test_failure_answers_the_message() -> None:
    reply = Reply.failure(MESSAGE, "storage", "conflict", "Too late", {"current_version": 2})
    assert (reply.status, reply.in_reply_to, reply.correlation_id) == ("error", "m-1", "talk")
    with pytest.raises(ConflictError, match="Too late"):
        reply.to_response().raise_for_error()


def test_a_response_decodes_raw_parts() -> None:
    reply = Reply.success(MESSAGE, "storage", [RawJson(b'{"id":7,"n":1.0}'), None])
    response = reply.to_response()
    assert response.result == [{"id": 7, "n": 1.0}, None]
    assert response.in_reply_to == "m-1"
    assert response.sender == "storage"


def test_replies_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Reply.success(MESSAGE, "storage", None).sender = "x"  # type: ignore[misc]
