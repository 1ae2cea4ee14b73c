"""Alarms of RabbitMQ: it takes nothing from anybody who publishes, until they are over."""

import asyncio
import time
from random import Random
from typing import Final

from localservices.model import ServiceError
from tests.chaos.faults.contract import Strike
from tests.chaos.servers import RabbitMQ

_SECONDS: Final = (1.0, 4.0)
_MEMORY: Final = ("set_vm_memory_high_watermark", "0"), ("set_vm_memory_high_watermark", "0.4")
# The second is what the configuration of the suites' brokers says.
_DISK: Final = ("set_disk_free_limit", "1000TB"), ("set_disk_free_limit", "200MB")


class RaiseAlarm:
    """Raised for some seconds, then lifted. `MemoryAlarm` and `DiskAlarm` are those there are.

    For a storm: `MemoryAlarm(scene.broker)`, in no lane beside one that kills the broker: a
    broker that starts again forgets the alarm, and commands fail while it is away. When one
    does, the strike is over.

    Args:
        seconds: how long, at least and at most.
    """

    def __init__(
        self,
        broker: RabbitMQ,
        name: str,
        commands: tuple[tuple[str, str], tuple[str, str]],
        seconds: tuple[float, float] = _SECONDS,
    ) -> None:
        self.kind = f"alarm {name}"
        self._broker = broker
        self._raise, self._lift = commands
        self._seconds = seconds

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        struck_at = time.monotonic()
        try:
            await self._broker.control(*self._raise)
            struck_at = time.monotonic()
            await asyncio.sleep(random.uniform(*self._seconds))
        except ServiceError:
            await self._broker.until_it_answers()  # somebody else struck the broker
        finally:
            await self._lifted()
        return Strike(self.kind, struck_at, time.monotonic(), "rabbitmq")

    async def _lifted(self) -> None:
        try:
            await self._broker.control(*self._lift)
        except ServiceError:
            await self._broker.until_it_answers()
            await self._broker.control(*self._lift)


class MemoryAlarm(RaiseAlarm):
    """See RaiseAlarm."""

    def __init__(self, broker: RabbitMQ, *, seconds: tuple[float, float] = _SECONDS) -> None:
        super().__init__(broker, "memory", _MEMORY, seconds)


class DiskAlarm(RaiseAlarm):
    """See RaiseAlarm."""

    def __init__(self, broker: RabbitMQ, *, seconds: tuple[float, float] = _SECONDS) -> None:
        super().__init__(broker, "disk", _DISK, seconds)
