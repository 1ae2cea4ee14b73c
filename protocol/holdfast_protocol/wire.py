"""The fields of an envelope as they are written: absent where there is nothing to say.

Source: the wire contract, sections 2, 3 and 10 "Checks".
"""

from .messages import AgentMessage, AgentResponse
from .replies import Reply
from .times import format_time


def message_fields(message: AgentMessage) -> dict[str, object]:
    """The JSON object of a message; optional fields without a value are left out."""
    fields: dict[str, object] = {
        "action": message.action,
        "payload": message.payload,
        "id": message.id,
    }
    if message.sender is not None:
        fields["sender"] = message.sender
    if message.recipient is not None:
        fields["recipient"] = message.recipient
    if message.correlation_id is not None:
        fields["correlation_id"] = message.correlation_id
    if message.causation_id is not None:
        fields["causation_id"] = message.causation_id
    if message.timestamp is not None:
        fields["timestamp"] = format_time(message.timestamp)
    if message.deadline is not None:
        fields["deadline"] = format_time(message.deadline)
    if message.metadata:
        fields["metadata"] = message.metadata
    if message.schema_version is not None:
        fields["schema_version"] = message.schema_version
    return fields


def reply_fields(reply: Reply, reply_id: str, timestamp: str) -> dict[str, object]:
    """The JSON object of a reply. `in_reply_to` and `correlation_id` are there, null or not."""
    fields: dict[str, object] = {
        "id": reply_id,
        "in_reply_to": reply.in_reply_to,
        "correlation_id": reply.correlation_id,
        "sender": reply.sender,
        "timestamp": timestamp,
        "status": reply.status,
    }
    if reply.status == "success":
        fields["result"] = reply.result
        fields["meta"] = reply.meta
    else:
        fields["error"] = reply.error
        fields["error_type"] = reply.error_type
        if reply.details:
            fields["details"] = reply.details
        if reply.meta:
            fields["meta"] = reply.meta
    if reply.handoff is not None:
        fields["handoff"] = reply.handoff
    return fields


def response_fields(response: AgentResponse) -> dict[str, object]:
    """The JSON object of a response that was received or made by hand."""
    reply = Reply(
        response.status,
        response.sender or "",
        response.in_reply_to,
        response.correlation_id,
        response.result,
        response.meta,
        response.error,
        response.error_type,
        response.details,
        response.handoff,
    )
    fields = reply_fields(reply, response.id, format_time(response.timestamp))
    if response.sender is None:
        del fields["sender"]
    return fields
