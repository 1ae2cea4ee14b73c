"""Replaying message logs against a store or a bus, comparing the answers, and recording logs."""

from .comparing import Comparison, Difference
from .ordering import in_order, without_repeats
from .reading import BadLine, LaterVersionError, LogEntry, read_entries
from .recording import Recorded, Recorder, Selection
from .replaying import Replayer, ReplayError
from .report import Divergence, Report
from .targets import BusTarget, StoreTarget, Target, open_bus_target, open_store_target

__all__ = [
    "BadLine",
    "BusTarget",
    "Comparison",
    "Difference",
    "Divergence",
    "LaterVersionError",
    "LogEntry",
    "Recorded",
    "Recorder",
    "ReplayError",
    "Replayer",
    "Report",
    "Selection",
    "StoreTarget",
    "Target",
    "in_order",
    "open_bus_target",
    "open_store_target",
    "read_entries",
    "without_repeats",
]
