"""The storage seed's to-do workflow as messages, and its recording: `examples/logs/todo.jsonl`.

`python -m tests.unit.replay.todo_workflow` records it anew, through the real agent.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from holdfast_agents.replay import open_store_target
from holdfast_protocol.logs import LoggedExchange, LogWriter
from holdfast_protocol.messages import AgentMessage, AgentResponse

TODO_LOG = Path(__file__).resolve().parents[3] / "examples" / "logs" / "todo.jsonl"

_BEGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_GROCERIES = {"title": "Buy groceries", "completed": False, "priority": "high"}
_Step = tuple[str, str, dict[str, Any]]


def _steps(answers: list[AgentResponse]) -> Iterator[_Step]:
    """(message id, action, payload); a step may use the answers so far."""
    yield "create-1", "storage_save", {"task": _GROCERIES}
    yield (
        "create-2",
        "storage_save",
        {"task": {"title": "Write the report", "completed": False, "priority": "medium"}},
    )
    yield (
        "create-3",
        "storage_save",
        {"task": {"title": "Den Seetang gießen 🌊", "completed": False, "priority": "low"}},
    )
    yield "list", "storage_list", {}
    yield "complete-1", "storage_update", {"task_id": 1, "changes": {"completed": True}}
    yield "query-completed", "storage_query", {"filters": {"completed": True, "priority": "high"}}
    yield (
        "query-open",
        "storage_query",
        {"filters": {"completed": False}, "sort": [["title", "desc"]], "fields": ["title"]},
    )
    yield (
        "remind-3",
        "storage_update",
        {"task_id": 3, "increment": {"reminders": 1}, "append": {"tags": ["garden"]}},
    )
    yield "get-3", "storage_get", {"task_id": 3}
    yield "get-missing", "storage_get", {"task_id": 99}
    yield "delete-2", "storage_delete", {"task_id": 2}
    yield "get-deleted", "storage_get", {"task_id": 2}
    # The deleted id 2 is not given out again, nor is one used up by what failed.
    yield "create-4", "storage_save", {"task": {"title": "Call the harbour", "completed": False}}
    yield (
        "batch",
        "storage_batch",
        {
            "operations": [
                {"action": "storage_save", "payload": {"task": {"title": "Mend the net"}}},
                {"action": "storage_update", "payload": {"task_id": 4, "changes": {"due": None}}},
                {"action": "storage_count", "payload": {}},
            ]
        },
    )
    yield (
        "batch-undone",
        "storage_batch",
        {
            "operations": [
                {"action": "storage_save", "payload": {"task": {"title": "Never kept"}}},
                {"action": "storage_delete", "payload": {"task_id": 99}},
            ]
        },
    )
    yield "create-6", "storage_save", {"task": {"title": "Paint the boat", "priority": "low"}}
    yield (
        "conflict",
        "storage_update",
        {"task_id": 1, "changes": {"priority": "low"}, "if_version": 1},
    )
    yield "create-1", "storage_save", {"task": _GROCERIES}  # the same message: its first answer
    yield "create-1", "storage_save", {"task": {"title": "Another payload"}}  # refused
    yield "mistyped", "storage_query", {"filters": {"title": {"$regex": "^W"}}}
    yield "unknown", "storage_destroy", {}
    yield "page-1", "storage_list", {"limit": 3}
    yield "page-2", "storage_list", {"limit": 3, "cursor": answers[-1].meta["next_cursor"]}
    yield "count", "storage_count", {"filters": {"priority": {"$in": ["low", "high"]}}}
    yield "collections", "storage_collections", {}


async def record(path: Path) -> None:
    """Run the workflow on an empty in-memory store, one message a minute, and append its log."""
    answers: list[AgentResponse] = []
    with LogWriter(path) as log:
        async with open_store_target("memory://") as target:
            for number, (message_id, action, payload) in enumerate(_steps(answers), start=1):
                at = _BEGIN + timedelta(minutes=number)
                message = AgentMessage(
                    action=action,
                    payload=payload,
                    id=message_id,
                    sender="planner",
                    recipient="storage",
                    correlation_id="monday",
                )
                (told,) = await target.send("storage", [message], at)
                answer = told.to_response()
                answers.append(answer)
                named = answer.model_copy(update={"id": f"answer-{number}", "timestamp": at})
                log.write(LoggedExchange("storage", message, named, at))


if __name__ == "__main__":
    TODO_LOG.unlink(missing_ok=True)
    asyncio.run(record(TODO_LOG))
