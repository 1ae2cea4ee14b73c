"""What a load on a cluster shows at its end, beside its history."""

from collections.abc import Sequence

from tests.acceptance.serving import Serving
from tests.chaos.checks.defects import defects
from tests.chaos.checks.promises import STANDS
from tests.chaos.history import Violation
from tests.chaos.load.load import Load


async def broken(
    found: Sequence[Violation], load: Load, processes: Sequence[Serving]
) -> list[Violation]:
    """What was found, and what was refused for a defect or ended by itself meanwhile.

    Args:
        found: in the load's history.
        processes: the agents, which nobody has told to end yet.
    """
    ended = [
        Violation(STANDS, f"process {process.pid} ended by itself: {process.log[-3:]}")
        for process in processes
        if await process.has_ended()
    ]
    return [*found, *defects(load.refusals), *ended]
