"""The Redis engine: records, indexes and replies in hashes and sorted sets, no modules."""

from .durability import Finding
from .store import RedisStore

__all__ = ["Finding", "RedisStore"]
