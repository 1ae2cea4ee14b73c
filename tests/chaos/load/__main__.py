"""The load alone, against any system: exchanges, rate, violations.

python -m tests.chaos.load --bus amqp://localhost --namespace holdfast --seconds 10
"""

import argparse
import asyncio
import sys
import time

from tests.chaos.checks.check import check
from tests.chaos.checks.defects import defects
from tests.chaos.load.load import Load


async def run(bus: str, namespace: str, seconds: float, seed: int, workers: int) -> int:
    """Load for a while; how many violations there are."""
    began_at = time.monotonic()
    async with Load(bus, namespace, seed, workers=workers) as load:
        await asyncio.sleep(seconds)
        rate = load.rates.between(began_at, time.monotonic())
        history = await load.finish()
        refusals = load.refusals
    say(f"{len(history.exchanges)} exchanges, {rate:.0f}/s, refusals {refusals}")
    began_at = time.monotonic()
    violations = [*check(history), *defects(refusals)]
    say(f"{len(violations)} violations, checked in {time.monotonic() - began_at:.2f} s")
    for violation in violations:
        say(f"{violation.promise}: {violation.text}")
    return len(violations)


def say(line: str) -> None:
    """To whoever started it."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.load", description=__doc__)
    parser.add_argument("--bus", required=True, help="amqp(s)://…")
    parser.add_argument("--namespace", default="holdfast")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=16)
    given = parser.parse_args()
    found = asyncio.run(run(given.bus, given.namespace, given.seconds, given.seed, given.workers))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
