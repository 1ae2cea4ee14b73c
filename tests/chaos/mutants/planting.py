"""Plants a mutant in this process, and takes it out again."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.mutants.contract import Mutant


class Patches:
    """Replaced attributes. See contract.Patcher."""

    def __init__(self) -> None:
        self._before: list[tuple[object, str, object]] = []

    def replace(self, owner: object, name: str, value: object) -> None:
        """Set an attribute that the owner itself has, not one that it inherits."""
        if name not in vars(owner):
            raise AttributeError(f"{owner!r} has no {name} of its own any more")
        self._before.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def put_back(self) -> None:
        """Everything as it was."""
        while self._before:
            owner, name, value = self._before.pop()
            setattr(owner, name, value)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The product has this defect, in this process, until the end of the context."""
    patches = Patches()
    try:
        mutant.plant(patches)
        yield
    finally:
        patches.put_back()
