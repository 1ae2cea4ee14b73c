"""What goes out confirmed by the publisher: messages, replies, dead letters and back."""

from collections.abc import Iterator
from contextlib import contextmanager

from pamqp.commands import Basic

from holdfast_protocol.bus.checks import check_short_string, expiration_ms, fits_short_string
from holdfast_protocol.bus.deadletters import dead_letter_headers, resent_headers
from holdfast_protocol.bus.messages import DeadLetter, Delivery, Publication
from holdfast_protocol.bus.rabbitmq.direct import DirectReplies, is_direct_address
from holdfast_protocol.bus.rabbitmq.publisher import Publisher, RejectedError, UnroutableError
from holdfast_protocol.bus.rabbitmq.topology import dead_exchange, messages_exchange
from holdfast_protocol.errors import NoRouteError, OverloadedError, UnavailableError

_TRANSIENT, _PERSISTENT = 1, 2
# A reply queue that is full is its owner's affair: nobody else is to wait for it.
_REPLY_REJECTIONS = 1
_RETRY_AFTER = 1.0  # seconds, for whoever meets a full queue


class Outgoing:
    """Publishes what has been checked; the errors are those of the contract."""

    def __init__(self, publisher: Publisher, direct_replies: DirectReplies, namespace: str) -> None:
        self._publisher = publisher
        self._direct_replies = direct_replies
        self._namespace = namespace
        self._exchange = messages_exchange(namespace)
        self._ids_under_way: set[str] = set()

    async def publish(self, publication: Publication) -> None:
        properties = Basic.Properties(
            delivery_mode=_PERSISTENT,
            correlation_id=publication.correlation_id,
            reply_to=publication.reply_to,
        )
        if publication.expiration_seconds is not None:
            properties.expiration = str(expiration_ms(publication.expiration_seconds))
        await self._route(publication.routing_key, publication.body, properties)

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        if not fits_short_string(address):
            return False
        # Not persistent: a client that lost its reply asks again and gets the stored one.
        properties = Basic.Properties(delivery_mode=_TRANSIENT, correlation_id=correlation_id)
        if is_direct_address(address):
            return await self._direct_replies.send(address, body, properties)
        try:
            await self._publisher.publish(
                "", address, body, properties, rejections=_REPLY_REJECTIONS
            )
        except (UnroutableError, RejectedError):
            return False
        return True

    async def dead_letter(self, delivery: Delivery, *, reason: str, error: str, agent: str) -> None:
        properties = Basic.Properties(
            delivery_mode=_PERSISTENT,
            headers=dict(dead_letter_headers(delivery, reason=reason, error=error, agent=agent)),
            reply_to=_kept(delivery.reply_to),
            correlation_id=_kept(delivery.correlation_id),
        )
        routing_key = delivery.routing_key if fits_short_string(delivery.routing_key) else ""
        with self._message_id(delivery.message_id) as properties.message_id:
            try:
                await self._publisher.publish(
                    dead_exchange(self._namespace), routing_key, delivery.body, properties
                )
            except UnroutableError as unroutable:
                raise UnavailableError("The queue of dead letters is missing") from unroutable
            except RejectedError as rejected:
                raise UnavailableError("The dead letters take no more") from rejected

    async def resend(self, letter: DeadLetter) -> None:
        check_short_string("routing_key", letter.routing_key)
        properties = Basic.Properties(
            delivery_mode=_PERSISTENT,
            headers=dict(resent_headers(letter)),
            reply_to=_kept(letter.reply_to),
            correlation_id=_kept(letter.correlation_id),
        )
        with self._message_id(letter.id) as properties.message_id:
            await self._route(letter.routing_key, letter.body, properties)

    async def _route(self, routing_key: str, body: bytes, properties: Basic.Properties) -> None:
        try:
            await self._publisher.publish(self._exchange, routing_key, body, properties)
        except UnroutableError as error:
            raise NoRouteError(f"No agent is bound for {routing_key!r}") from error
        except RejectedError as error:
            raise OverloadedError(
                "The agent's queue takes no more now", {"retry_after_seconds": _RETRY_AFTER}
            ) from error

    @contextmanager
    def _message_id(self, wanted: str | None) -> Iterator[str]:
        """The one wanted, or a new one where two at the same time would be taken for another."""
        message_id = _kept(wanted)
        if message_id is None or message_id in self._ids_under_way:
            message_id = self._publisher.next_message_id()
        self._ids_under_way.add(message_id)
        try:
            yield message_id
        finally:
            self._ids_under_way.discard(message_id)


def _kept(value: str | None) -> str | None:
    """A property of the original, where AMQP can carry it."""
    return value if value and fits_short_string(value) else None
