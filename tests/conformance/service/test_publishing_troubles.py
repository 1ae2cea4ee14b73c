"""When a process cannot publish: another one does, and no agent suffers from it."""

import asyncio
from collections.abc import Sequence

from holdfast_agents.events.relay import Relay
from holdfast_agents.logs import quiet_logger
from holdfast_backends.operations import Save
from holdfast_protocol.bus.contract import Announcement, Broadcast
from holdfast_protocol.errors import UnavailableError
from holdfast_protocol.events import decode_events
from tests.conformance.service.scene import Scene, soon


class CutOff:
    """A bus outside this process that takes nothing."""

    is_local = False

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.asked = asyncio.Event()

    async def announce(self, announcements: Sequence[Announcement]) -> list[bool]:
        del announcements
        self.asked.set()
        raise self._error


async def test_a_leader_that_cannot_reach_the_broker_lets_another_one_lead(
    lasting_scene: Scene,
) -> None:
    heard: asyncio.Queue[Broadcast] = asyncio.Queue()
    async with lasting_scene.backend() as backend, lasting_scene.bus() as bus:
        await bus.listen("events", ["#"], heard.put_nowait)
        await backend.execute([Save({"n": 1})])
        cut_off = CutOff(UnavailableError("The broker cannot be reached"))
        relay = Relay(backend, cut_off, quiet_logger())  # type: ignore[arg-type]
        relaying = asyncio.create_task(relay.run())
        await soon(cut_off.asked.wait())
        async with lasting_scene.service():
            event = decode_events((await soon(heard.get())).body)[0]
        relay.stop()
        await soon(relaying)
    assert event.sequence == 1


async def test_a_defect_in_publishing_ends_nothing(lasting_scene: Scene) -> None:
    async with lasting_scene.backend() as backend:
        await backend.execute([Save({"n": 1})])
        cut_off = CutOff(RuntimeError("a defect"))
        relay = Relay(backend, cut_off, quiet_logger())  # type: ignore[arg-type]
        relaying = asyncio.create_task(relay.run())
        await soon(cut_off.asked.wait())
        assert not relaying.done()
        relay.stop()
        await soon(relaying)
