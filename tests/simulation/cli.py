"""The command line of the simulation."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from tests.simulation.campaign import Tally, campaign
from tests.simulation.episode import Outcome, run
from tests.simulation.plans import Plan, draw_plan, plan_from_json
from tests.simulation.shrinking import shrink

_SHRINKING: Final = 120.0
_HELP: Final = """\
Clients, agents, a broker and a database in one process, one seeded event loop and virtual time:
every episode is what its seed makes of it, again and again.

  python -m tests.simulation --faulted 1000000      episodes until so many deliveries met a fault
  python -m tests.simulation --seed 42              one episode, with its trace
  python -m tests.simulation --plan FILE            one that was shrunk and written down
"""


def main() -> None:
    """Run it; exit with 1 when a promise was broken."""
    _fix_hashes()
    options = _options()
    if options.plan is not None or options.seed is not None:
        sys.exit(_one(_plan(options), trace=not options.quiet, seconds=options.shrink))
    sys.exit(_many(options.first, options.faulted, options.jobs, options.shrink))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--faulted", type=int, default=100_000, help="how many deliveries")
    parser.add_argument("--first", type=int, default=None, help="first seed; by default a new one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", default=None, help="this episode alone")
    parser.add_argument("--plan", type=Path, default=None, help="the episode in this file")
    parser.add_argument("--quiet", action="store_true", help="without the trace")
    parser.add_argument(
        "--shrink", type=float, default=_SHRINKING, help="seconds to spend on a smaller episode"
    )
    options = parser.parse_args()
    if options.first is None:
        options.first = time.time_ns() // 1_000_000_000 * 1_000_000
    return options


def _plan(options: argparse.Namespace) -> Plan:
    if options.plan is not None:
        return plan_from_json(json.loads(options.plan.read_text()))
    return draw_plan(options.seed)


def _many(first: int, faulted: int, jobs: int, shrinking: float) -> int:
    began = time.monotonic()
    _say(f"seeds from {first} on, in {jobs} processes")
    told_at = began

    def progress(tally: Tally) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= 5:
            told_at = time.monotonic()
            _say(_line(tally, told_at - began))

    tally = campaign(first, faulted, jobs, progress)
    _say(_line(tally, time.monotonic() - began))
    for name, count in sorted(tally.kinds.items()):
        _say(f"  {count:>10,} {name}")
    if not tally.failed:
        _say("no promise was broken")
        return 0
    _say(f"promises were broken with the seeds {tally.failed}")
    return _one(draw_plan(min(tally.failed)), trace=True, seconds=shrinking)


def _line(tally: Tally, seconds: float) -> str:
    return (
        f"{seconds:7.0f} s  {tally.episodes:,} episodes  {tally.all_deliveries:,} deliveries, "
        f"{tally.all_faulted:,} of them faulted ({tally.all_faulted / max(seconds, 0.1):,.0f}/s)  "
        f"{tally.kinds.total():,} faults  {len(tally.failed)} violations  "
        f"{tally.seconds / 3600:,.1f} virtual hours"
    )


def _one(plan: Plan, *, trace: bool, seconds: float) -> int:
    outcome = run(plan, is_traced=True)
    if not outcome.violations:
        if trace:
            _say("\n".join(outcome.trace))
        _say(f"no promise was broken; digest {outcome.digest}")
        return 0
    small = outcome
    if seconds > 0:
        small = run(shrink(outcome, seconds).plan, is_traced=True)
    if trace:
        _say("\n".join(small.trace))
    _tell(outcome, small)
    return 1


def _tell(outcome: Outcome, small: Outcome) -> None:
    for violation in small.violations:
        _say(f"BROKEN: {violation.promise}: {violation.text}")
    file = Path(f"simulation-{outcome.plan.seed}.json")
    file.write_text(json.dumps(small.plan.with_faults(small.faults).to_json(), indent=1))
    _say(f"seed {outcome.plan.seed}: {_size(outcome)}; shrunk to {_size(small)}")
    _say(f"again: python -m tests.simulation --plan {file}")
    _say(f"the whole: python -m tests.simulation --shrink 0 --seed {outcome.plan.seed}")


def _size(outcome: Outcome) -> str:
    return f"{len(outcome.plan.operations)} operations, {len(outcome.faults)} faults"


def _fix_hashes() -> None:
    """Texts hash alike in every process, should an order ever come from that."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
