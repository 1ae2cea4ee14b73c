"""Runs the `holdfast` command, with a defect planted first if one is named.

python -m tests.chaos.launch [--mutant NAME] -- serve --bus …
"""

import sys
from contextlib import ExitStack

from holdfast_agents.cli import main as holdfast


def main() -> None:
    """Plant, then be the command."""
    options, arguments = _parted(sys.argv[1:])
    with ExitStack() as stack:
        if options:
            from tests.chaos.mutants.catalogue import MUTANTS
            from tests.chaos.mutants.planting import planted

            name = options[-1]
            mutant = next((known for known in MUTANTS if known.name == name), None)
            if mutant is None:
                sys.exit(f"there is no mutant {name}")
            stack.enter_context(planted(mutant))
        sys.argv = ["holdfast", *arguments]
        holdfast()


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        sys.exit(__doc__)
    place = words.index("--")
    options, arguments = words[:place], words[place + 1 :]
    if options and (len(options) != 2 or options[0] != "--mutant"):
        sys.exit(__doc__)
    return options, arguments


if __name__ == "__main__":
    main()
