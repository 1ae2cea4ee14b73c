"""A private Redis that acknowledges a write only when it is on the disk."""

import signal
from collections.abc import Mapping
from pathlib import Path

from . import packages, probes
from .model import LOOPBACK, Record, Service, ServiceError
from .processes import spawn


class Redis(Service):
    """See model.Service."""

    name = "redis"
    url_variable = "HOLDFAST_TEST_REDIS_URL"
    port_names = ("redis",)
    packages = ("redis-server",)
    start_timeout = 30.0

    def installed(self) -> bool:
        """Whether redis-server is on this machine."""
        return packages.find("redis-server") is not None

    def start(self, record: Record, home: Path) -> None:
        """Start redis-server with a configuration file of its own."""
        binary = packages.find("redis-server")
        if binary is None:
            raise ServiceError("redis-server is missing")
        data = home / "data"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        record.data = str(data)
        config = home / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(
            f"bind {LOOPBACK}\n"
            f"port {record.ports['redis']}\n"
            f"requirepass {record.password}\n"
            f'dir "{data}"\n'
            "daemonize no\n"
            "appendonly yes\n"
            "appendfsync always\n"
            "maxmemory-policy noeviction\n"
            'save ""\n'
        )
        record.processes["redis"] = spawn([binary, config], log=home / "log")

    def stop_signals(self) -> Mapping[str, int]:
        """SIGTERM flushes the append-only file and exits."""
        return {"redis": signal.SIGTERM}

    def urls(self, record: Record) -> dict[str, str]:
        """The URL of database 0."""
        address = f"{LOOPBACK}:{record.ports['redis']}"
        return {self.url_variable: f"redis://:{record.password}@{address}/0"}

    def probe(self, urls: Mapping[str, str]) -> None:
        """AUTH and PING."""
        probes.redis(urls[self.url_variable])
