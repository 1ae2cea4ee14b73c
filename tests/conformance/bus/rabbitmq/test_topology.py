"""The broker objects are those of the wire contract, section 1."""

from typing import Any

import aio_pika
import pytest

from holdfast_protocol.bus.contract import Publication
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from tests.conformance.bus.harness import Replies, soon, take
from tests.conformance.bus.rabbitmq.tools import call, until, vhost_of, warnings_of
from tests.services import BrokerApi

pytestmark = pytest.mark.amqp


async def test_the_objects_are_those_of_the_wire_contract(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    vhost = vhost_of(fresh_amqp_url)
    async with RabbitBus(fresh_amqp_url) as bus:
        await bus.consume("storage")
        address = await bus.open_reply_address("me", Replies())
        exchanges = await _by_name(rabbitmq_api, "exchanges", vhost)
        queues = await _by_name(rabbitmq_api, "queues", vhost)
        bindings = await call(rabbitmq_api, "GET", "bindings", vhost)
    assert {
        name: (entry["type"], entry["durable"], entry["auto_delete"])
        for name, entry in exchanges.items()
        if name.startswith("holdfast")
    } == {
        "holdfast.messages": ("topic", True, False),
        "holdfast.events": ("topic", True, False),
        "holdfast.changes": ("topic", True, False),
        "holdfast.control": ("topic", True, False),
        "holdfast.dead": ("fanout", True, False),
    }
    assert {name: (entry["durable"], entry["arguments"]) for name, entry in queues.items()} == {
        "holdfast.agent.storage": (
            True,
            {
                "x-queue-type": "quorum",
                "x-dead-letter-exchange": "holdfast.dead",
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        ),
        "holdfast.dead-letters": (True, {"x-queue-type": "quorum"}),
        address.address: (True, {"x-queue-type": "classic", "x-expires": 1_800_000}),
    }
    assert {
        (entry["source"], entry["destination"], entry["routing_key"])
        for entry in bindings
        if entry["source"]
    } == {
        ("holdfast.messages", "holdfast.agent.storage", "storage.#"),
        ("holdfast.dead", "holdfast.dead-letters", ""),
    }


async def test_publishing_receiving_and_consuming_have_a_connection_each(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    names: set[str] = set()

    async def all_listed() -> bool:
        listed = await call(rabbitmq_api, "GET", "vhosts", vhost_of(fresh_amqp_url), "connections")
        names.clear()
        for entry in listed:
            names.add(entry.get("client_properties", {}).get("connection_name", ""))
        return len(listed) == 3 and "" not in names

    async with RabbitBus(fresh_amqp_url) as bus:
        await bus.consume("storage")
        await until(all_listed)
    assert names == {
        "holdfast publishing",
        "holdfast receiving",
        "holdfast consuming storage",
    }


async def test_messages_are_persistent_and_replies_are_not(fresh_amqp_url: str) -> None:
    async with RabbitBus(fresh_amqp_url) as bus:
        await (await bus.consume("storage")).cancel()
        await bus.publish(Publication("storage.x", b"x", expiration_seconds=0.0001))
        async with await aio_pika.connect(fresh_amqp_url) as connection:
            channel = await connection.channel()
            await bus.publish(Publication("storage.x", b"x"))
            queue = await channel.get_queue("holdfast.agent.storage")
            message = await queue.get(no_ack=True)
            replies = await channel.declare_queue("holdfast.reply.plain.1", exclusive=True)
            assert await bus.reply(replies.name, b"!", "c")
            reply = await replies.get(no_ack=True)
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.exchange == "holdfast.messages"
    assert reply.delivery_mode == aio_pika.DeliveryMode.NOT_PERSISTENT
    assert (reply.body, reply.correlation_id, reply.exchange) == (b"!", "c", "")


async def test_a_closed_bus_leaves_no_reply_queue(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    async with RabbitBus(fresh_amqp_url) as bus:
        await bus.open_reply_address("me", Replies())
    assert set(await _by_name(rabbitmq_api, "queues", vhost_of(fresh_amqp_url))) == {
        "holdfast.dead-letters"
    }


async def test_a_queue_of_other_arguments_is_told_and_harms_nobody(
    fresh_amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with await aio_pika.connect(fresh_amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("holdfast.agent.storage", durable=True)
    async with RabbitBus(fresh_amqp_url) as bus:
        with pytest.raises(UnavailableError, match="inequivalent arg") as raised:
            await soon(bus.consume("storage"))
        assert raised.value.details == {"reason": "ChannelPreconditionFailed"}
        assert any("consumer of storage" in text for text in warnings_of(caplog))
        consumer = await bus.consume("other")
        await bus.publish(Publication("other.x", b"x"))
        assert len(await take(consumer, 1)) == 1


async def test_policies_may_tune_what_the_arguments_leave_open(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    vhost = vhost_of(fresh_amqp_url)
    policy = {
        "pattern": "^holdfast\\.agent\\.",
        "definition": {"max-length": 100, "delivery-limit": 5, "message-ttl": 60_000},
        "apply-to": "queues",
    }
    await call(rabbitmq_api, "PUT", "policies", vhost, "tuning", body=policy)
    for _ in range(2):
        async with RabbitBus(fresh_amqp_url) as bus:
            await soon(bus.consume("storage"))


@pytest.mark.parametrize("wrong", ["password", "vhost"])
async def test_a_refused_login_is_told_at_once_and_without_the_password(
    fresh_amqp_url: str, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    account, _, rest = fresh_amqp_url.rpartition("@")
    url = f"{account}wrong@{rest}" if wrong == "password" else f"{fresh_amqp_url}missing"
    password = account.rpartition(":")[2]
    with pytest.raises(UnavailableError) as raised:
        await soon(RabbitBus(url, operation_timeout=60).__aenter__())
    assert "reason" in raised.value.details
    assert password not in str(raised.value)
    assert password not in caplog.text


async def _by_name(api: BrokerApi, kind: str, vhost: str) -> dict[str, Any]:
    return {entry["name"]: entry for entry in await call(api, "GET", kind, vhost)}
