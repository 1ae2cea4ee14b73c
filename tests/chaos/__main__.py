"""The fault suite as a command; `--help` explains it."""

import sys
from pathlib import Path


def _run() -> int:
    # Where `localservices` is, which brings the servers.
    sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
    from tests.chaos.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(_run())
