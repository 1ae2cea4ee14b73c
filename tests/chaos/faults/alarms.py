"""Alarms of RabbitMQ: it takes nothing from anybody who publishes, until they are over."""

import asyncio
import time
from random import Random
from typing import Final

from tests.chaos.faults.contract import Strike
from tests.chaos.servers import RabbitMQ

_SECONDS: Final = (1.0, 4.0)
_MEMORY: Final = ("set_vm_memory_high_watermark", "0"), ("set_vm_memory_high_watermark", "0.4")
# RabbitMQ 3.10 knows no TB. The second is what the configuration of the suites' brokers says.
_DISK: Final = ("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "200MB")


class RaiseAlarm:
    """Raised for some seconds, then lifted. `MemoryAlarm` and `DiskAlarm` are those there are.

    Not for a storm that kills the broker: one that starts again forgets the alarm, and commands
    fail while it is away.

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
        """See `Fault`. Raises ServiceError where the alarm cannot be raised, or lifted."""
        try:
            await self._broker.control(*self._raise)
            struck_at = time.monotonic()
            await asyncio.sleep(random.uniform(*self._seconds))
        finally:
            await self._broker.control(*self._lift)
        return Strike(self.kind, struck_at, time.monotonic(), "rabbitmq")


class MemoryAlarm(RaiseAlarm):
    """See RaiseAlarm."""

    def __init__(self, broker: RabbitMQ, *, seconds: tuple[float, float] = _SECONDS) -> None:
        super().__init__(broker, "memory", _MEMORY, seconds)


class DiskAlarm(RaiseAlarm):
    """See RaiseAlarm."""

    def __init__(self, broker: RabbitMQ, *, seconds: tuple[float, float] = _SECONDS) -> None:
        super().__init__(broker, "disk", _DISK, seconds)
