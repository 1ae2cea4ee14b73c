"""All cases, in the order in which they run: the longest last."""

from collections.abc import Mapping
from typing import Final

from .cases.backends import MemoryAlone, PostgresAlone
from .cases.growth import Growth
from .cases.latency import Latency
from .cases.queries import QueriesByIndex
from .cases.saves import Foreign, Saves
from .cases.stores import Stores
from .model import Case

CASES: Final[Mapping[str, Case]] = {
    case.name: case
    for case in (
        Saves(),
        Foreign(),
        Latency(),
        PostgresAlone(),
        MemoryAlone(),
        Stores(),
        QueriesByIndex(),
        Growth(),
    )
}
