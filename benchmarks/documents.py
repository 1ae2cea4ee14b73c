"""The document that everything stores: a task as agents keep it, nested, some 300 bytes of JSON."""

from typing import Any

OWNERS = 10_000
"""Of a million tasks each owner has a hundred."""


def task(number: int) -> dict[str, Any]:
    """A task; its `rank` is its number, so that order and ranges are known."""
    return {
        "title": f"Water the kelp in basin {number % 97}",
        "completed": number % 3 == 0,
        "priority": number % 5,
        "rank": number,
        "owner": {"name": f"agent-{number % OWNERS}", "team": "tide pool", "shift": number % 4},
        "labels": ["kelp", "water", f"basin-{number % 97}"],
        "estimate": {"hours": 1.5, "confidence": 0.75},
        "notes": "Salinity first; then temperature, twice. Überprüfen.",
    }
