"""What is published by others than the agent costs a subscription little, and never an event."""

from holdfast_protocol.events import MAX_EVENTS_BYTES
from tests.unit.client.ledger import Ledger, publish
from tests.unit.client.scenes import scene
from tests.unit.client.test_subscribing import sequences
from tests.unit.client.virtualtime import in_virtual_time, now


@in_virtual_time
async def test_a_body_longer_than_any_batch_is_fetched_instead() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        publish(at.broker, b"[" + b"{}," * MAX_EVENTS_BYTES + b"{}]", "tasks")
        ledger.change()
        assert await sequences(events, 1) == [("tasks", 1)]
        assert (ledger.fetches, now()) == (1, 0)
