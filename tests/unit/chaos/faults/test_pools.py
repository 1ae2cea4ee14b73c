"""A fault that was not let in is told as a miss."""

from random import Random

from localservices.processes import free_ports
from tests.chaos.faults.pools import LockTables


async def test_nothing_was_held_where_nobody_let_the_foe_in() -> None:
    (port,) = free_ports(["postgres"]).values()
    fault = LockTables(f"postgresql://nobody@127.0.0.1:{port}/nothing")
    assert (await fault.strike(Random(1))).kind == "miss lock tables of postgres"
