"""Replaying message logs against a store or a bus, comparing the answers, and recording logs."""

from .comparing import Comparison, Difference
from .ordering import in_order
from .reading import BadLine, LaterVersionError, LogEntry, read_entries
from .recording import Recorder
from .replaying import Divergence, Replayer, ReplayError, Report
from .targets import BusTarget, StoreTarget, Target, open_bus_target, open_store_target

__all__ = [
    "BadLine",
    "BusTarget",
    "Comparison",
    "Difference",
    "Divergence",
    "LaterVersionError",
    "LogEntry",
    "Recorder",
    "ReplayError",
    "Replayer",
    "Report",
    "StoreTarget",
    "Target",
    "in_order",
    "open_bus_target",
    "open_store_target",
    "read_entries",
]
