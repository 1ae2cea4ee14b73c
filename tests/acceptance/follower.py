"""A program that follows the events of a collection, and can be killed at any moment.

It appends each event to a file as one line; the file is also its memory of how far it came. Run:
`python follower.py <bus> <namespace> <file>`.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from holdfast_protocol import AgentClient


async def follow(bus: str, namespace: str, file: Path) -> None:
    """Append every event behind the last whole line."""
    seen = whole_lines(file)
    after = seen[-1]["sequence"] if seen else 0
    with file.open("ab", buffering=0) as memory:
        async with (
            AgentClient(bus, sender="follower", namespace=namespace) as client,
            client.subscribe("tasks.*", after=after) as events,
        ):
            async for event in events:
                line = {"sequence": event.sequence, "kind": event.kind, "document": event.document}
                # One write: the line is there whole, or, after a power cut, not at all.
                memory.write(json.dumps(line).encode() + b"\n")


def whole_lines(file: Path) -> list[dict[str, Any]]:
    """What was remembered."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_bytes().splitlines()]


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
