"""All cases, in the order in which they run: the longest last."""

from collections.abc import Mapping
from typing import Final

from .cases.backends import MemoryAlone, PostgresAlone
from .cases.events import EventCost, EventLatency, JournalCost
from .cases.growth import Growth
from .cases.latency import Latency
from .cases.locks import Locks
from .cases.queries import QueriesByIndex
from .cases.replay import Replay
from .cases.saves import Foreign, Saves
from .cases.scaling import Collections, Partitioned, Processes
from .cases.scaling_sizes import Sizes
from .cases.stores import Stores
from .model import Case

CASES: Final[Mapping[str, Case]] = {
    case.name: case
    for case in (
        Saves(),
        Foreign(),
        Latency(),
        EventCost(),
        JournalCost(),
        EventLatency(),
        Locks(),
        Replay(),
        PostgresAlone(),
        MemoryAlone(),
        Stores(),
        Processes(),
        Collections(),
        Partitioned(),
        Sizes(),
        QueriesByIndex(),
        Growth(),
    )
}
