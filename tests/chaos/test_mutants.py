"""The storm finds the defects that are planted in real processes; see mutants/catalogue.py.

The simulation (tests/simulation/test_mutants.py) looks for all that it can see. Here it is what
the simulation cannot see and, in the long form, everything else that a few minutes bring to light.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.chaos.faults.abilities import require
from tests.chaos.forms import by_form
from tests.chaos.mutants.catalogue import MUTANTS
from tests.chaos.mutants.contract import Mutant
from tests.chaos.mutants.planting import planted
from tests.chaos.mutants.where import BY_REDIS, BY_SIMULATION, ELSEWHERE
from tests.chaos.options import Options
from tests.chaos.run import Run

pytestmark = [pytest.mark.amqp]

_SHORT: Final = [mutant for mutant in MUTANTS if mutant.name in ELSEWHERE]
_LONG: Final = [mutant for mutant in MUTANTS if mutant.name not in BY_SIMULATION]
_ROUNDS: Final = 8


@pytest.mark.parametrize("mutant", by_form(_SHORT, _LONG), ids=lambda mutant: mutant.name)
async def test_a_planted_defect_is_found(mutant: Mutant, tmp_path: Path) -> None:
    require("servers")
    calm = mutant.name in ELSEWHERE  # memory shows without a fault, not in processes that die
    backend = "redis" if mutant.name in BY_REDIS else "sqlite"
    options = Options(
        folder=tmp_path,
        seed=20261120,
        backends=(backend,),
        kinds=("agent", "rabbitmq", backend),  # a file cannot be killed
        kills=0 if calm else _ROUNDS,
        stops=0 if calm else _ROUNDS,
        operations=16_000 if calm else 2_000 * _ROUNDS,  # memory takes some time to be told apart
        rounds=1 if calm else _ROUNDS,  # and the first that finds it is the last
        longest=30.0,
        first_success=60.0,  # no defect of these is about time
        long_life=4.0 if calm else 240.0,  # who has just begun grows
        warm=0.5 if calm else 60.0,
        mutant=mutant.name,
        stop_at_first=True,
    )
    with planted(mutant):  # some are the client's
        report = await Run(options, "pytest", lambda _line: None).run()

    broken = {found.violation.promise for found in report.found}
    seen = broken & (mutant.promises or broken)
    assert seen, f"{mutant.defect} Instead of this: {broken or 'nothing'}"
