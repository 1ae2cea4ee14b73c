"""Who acts: the agents, and what runs them."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base.agent import Agent
    from .base.simple import SimpleAgent
    from .in_process import embedded
    from .storage.agent import StorageAgent

__all__ = ["Agent", "SimpleAgent", "StorageAgent", "embedded"]

# Imported when first asked for, so that a command's help need not wait for the brokers' library.
_ON_DEMAND = {
    "Agent": ".base.agent",
    "SimpleAgent": ".base.simple",
    "StorageAgent": ".storage.agent",
    "embedded": ".in_process",
}


def __getattr__(name: str) -> object:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_ON_DEMAND[name], __name__), name)
    return value
