"""A migration's report for the command line."""

from dataclasses import dataclass
from typing import Final

from holdfast_protocol.codec import compact_json

from .common import scheme_of

_WITH_SCHEMA: Final = ("sqlite", "postgres", "postgresql")


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done to a store; without a schema both revisions are None."""

    backend: str
    before: str | None = None
    after: str | None = None

    def as_text(self) -> str:
        """One line for a person."""
        if self.after is None:
            return f"{self.backend}: nothing to migrate, this store has no schema"
        if self.before == self.after:
            return f"{self.backend}: nothing to do, the schema is at {self.after}"
        return f"{self.backend}: migrated from {self.before or 'nothing'} to {self.after}"

    def as_json(self) -> str:
        """One line for a script."""
        changed = self.before != self.after
        fields = {"before": self.before, "after": self.after, "changed": changed}
        return compact_json({"backend": self.backend, **fields}).decode()


async def migrated(url: str) -> Migrated:
    """Migrate the store at a URL.

    Raises:
        StorageError: it cannot be reached, or its schema is newer than this version.
    """
    kind = scheme_of(url)
    if kind not in _WITH_SCHEMA:
        return Migrated(kind)
    from holdfast_backends.sql.migrate import migrate

    report = await migrate(url)
    return Migrated(kind, report.before, report.after)
