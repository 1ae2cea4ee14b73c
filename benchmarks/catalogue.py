"""All cases, in the order in which they run: the longest last."""

from collections.abc import Mapping
from typing import Final

from .cases.saves import Foreign, Saves
from .model import Case

CASES: Final[Mapping[str, Case]] = {case.name: case for case in (Saves(), Foreign())}
