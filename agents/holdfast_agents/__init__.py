"""Who acts: the agents, and what runs them."""

from .base.agent import Agent, SimpleAgent
from .embedded import embedded
from .storage.agent import StorageAgent

__all__ = ["Agent", "SimpleAgent", "StorageAgent", "embedded"]
