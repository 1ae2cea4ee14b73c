"""The journal: every exchange, appended after its commit, so that it can be read and replayed."""

from .contract import Journal
from .file import FileJournal
from .stream import StreamJournal

__all__ = ["FileJournal", "Journal", "StreamJournal"]
