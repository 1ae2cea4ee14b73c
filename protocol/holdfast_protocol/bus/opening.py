"""From a URL to a bus."""

from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus

SCHEMES = ("memory", "amqp", "amqps")


def open_bus(
    url: str,
    *,
    namespace: str = "holdfast",
    operation_timeout: float = 10.0,
) -> Bus:
    """A bus for the URL, not yet entered: `async with open_bus(url) as bus`.

    `memory://` and `memory://name` are brokers inside this process and event loop;
    `amqp://` and `amqps://` URLs name a RabbitMQ broker and its virtual host, of a cluster
    several nodes: `amqp://user:password@host1:5672,host2:5672/vhost`. `namespace` prefixes
    every broker object and matches `^[a-z][a-z0-9_-]{0,62}$`. `operation_timeout` bounds every
    wait for the broker, in seconds.

    Raises:
        ValueError: unknown scheme, malformed URL or namespace. The text holds no password.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "memory" and separator:
        return MemoryBus(rest, namespace=namespace, operation_timeout=operation_timeout)
    if scheme in ("amqp", "amqps") and separator:
        return RabbitBus(url, namespace=namespace, operation_timeout=operation_timeout)
    raise ValueError(f"The bus URL must begin with one of: {', '.join(SCHEMES)}")
