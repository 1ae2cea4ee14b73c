"""`python -m tests.simulation`: see `--help`."""

from tests.simulation.cli import main

if __name__ == "__main__":
    main()
