"""What the model answers, and how it fails."""

from typing import Any

Answer = tuple[Any, ...]
"""("saved", entry, created), ("found", entry), ("page", entries), ("count", number),
("collections", pairs), ("index", paths), ("leased", lease), ("batch", answers),
("failed", kind, facts, index)."""


class FailureError(Exception):
    """An error of the contract's list; `facts` are what must stand in its text or details."""

    def __init__(self, kind: str, **facts: Any) -> None:
        super().__init__(kind)
        self.kind = kind
        self.facts = facts
