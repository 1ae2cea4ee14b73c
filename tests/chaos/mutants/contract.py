"""What a planted defect is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Patcher(Protocol):
    """Replaces attributes, and puts them back in the end."""

    def replace(self, owner: object, name: str, value: object) -> None:
        """Set `owner.name`. Raises AttributeError when the owner has no such attribute: then the
        code has moved on, and the defect has to be planted elsewhere."""
        ...


@dataclass(frozen=True, slots=True)
class Mutant:
    """A defect that the suites have to notice.

    Args:
        name: words with hyphens.
        defect: what is wrong, in a sentence.
        plant: replaces parts of the product, in the process that calls it.
        promises: the promises (`Violation.promise`) of which at least one must be seen broken;
            empty for any of them.
    """

    name: str
    defect: str
    plant: Callable[[Patcher], None]
    promises: frozenset[str]
