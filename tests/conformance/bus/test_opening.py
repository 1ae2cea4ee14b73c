"""From URLs to buses."""

import pytest

from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryBus),
        ("memory://name", MemoryBus),
        ("amqp://guest:secret@localhost/", RabbitBus),
        ("amqps://localhost:5671/vhost?heartbeat=5", RabbitBus),
    ],
)
def test_the_scheme_chooses_the_bus(url: str, kind: type[Bus]) -> None:
    bus = open_bus(url)
    assert type(bus) is kind
    assert bus.namespace == "holdfast"


@pytest.mark.parametrize("url", ["", "memory", "redis://localhost", "AMQP//x", "http://h/"])
def test_an_unknown_scheme_names_the_accepted_ones(url: str) -> None:
    with pytest.raises(ValueError, match="memory, amqp, amqps"):
        open_bus(url)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:secret@localhost:port/",
        "amqp://guest:secret@localhost:99999999/",
        "amqp://guest:secret@[::1/",
        "amqp://guest:secret@/",
        "amqp://guest:secret@localhost/?heartbeat=secret",
    ],
)
def test_a_malformed_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="bus URL") as raised:
        open_bus(url)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("namespace", ["a", "holdfast-2", "a_b", "a" * 63])
@pytest.mark.parametrize("url", ["memory://", "amqp://localhost/"])
def test_a_namespace_prefixes_every_object(url: str, namespace: str) -> None:
    assert open_bus(url, namespace=namespace).namespace == namespace


@pytest.mark.parametrize("namespace", ["", "A", "a.b", "1a", "_a", "a" * 64, "ä", "a\n"])
@pytest.mark.parametrize("url", ["memory://", "amqp://localhost/"])
def test_what_is_no_namespace_is_refused(url: str, namespace: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        open_bus(url, namespace=namespace)


async def test_a_broker_that_is_not_there_is_unavailable_in_time() -> None:
    bus = open_bus("amqp://guest:secret@127.0.0.1:1/", operation_timeout=0.3)
    with pytest.raises(UnavailableError) as raised:
        await bus.__aenter__()
    assert "secret" not in repr(raised.value)
