"""What was asked and answered, as it happens. Nothing here judges."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from holdfast_protocol.messages import AgentResponse
from tests.chaos.checks.shapes import has_shape
from tests.chaos.history import Answer, Exchange, Message
from tests.chaos.load.rates import Rates

NOT_FINAL: Final = frozenset(
    {"unavailable", "overloaded", "rate_limited", "storage_error", "internal_error", "expired"}
)
"""Answers that are not stored with the message: it is asked again, and that is harmless."""
READS: Final = frozenset({"storage_get", "storage_list", "storage_query", "storage_count"})
_MAY_DIFFER: Final = frozenset({"replayed", "cancel"})


class Recorder:
    """Every exchange of a load, by the id of its message."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.rates = Rates()
        self.answered = 0
        self.operations = 0
        self._silent = 0
        self._executed: set[str] = set()
        self.refusals: Counter[str] = Counter()
        self._by_id: dict[str, Exchange] = {}
        self._news = asyncio.Event()

    @property
    def unanswered(self) -> int:
        """How many have no answer yet, and wait for one."""
        return len(self.exchanges) - self.answered - self._silent

    def begin(self, message: Message) -> Exchange:
        """A message is about to be sent for the first time."""
        exchange = Exchange(message, time.monotonic())
        self.exchanges.append(exchange)
        self._by_id[message["id"]] = exchange
        return exchange

    def expect_effect(self, exchange: Exchange) -> None:
        """It will not be answered: the broker has it, and it named nobody to answer."""
        exchange.expects = "effect"
        self._silent += 1

    def take_other(self, exchange: Exchange, answer: Answer) -> None:
        """An answer to another message under the id of one that was executed: a refusal."""
        error_type = answer.get("error_type")
        if error_type != "conflict" and error_type not in NOT_FINAL:
            exchange.contradictions.append(answer)

    def never_expired(self, exchange: Exchange) -> None:
        """It was executed before its deadline: nobody may say any more that it was not."""
        self._executed.add(exchange.message["id"])

    def known(self, message_id: str) -> Exchange | None:
        """The exchange of a message."""
        return self._by_id.get(message_id)

    def take(self, exchange: Exchange, answer: Answer) -> bool:
        """An answer came; whether it ends the exchange.

        One that cannot be an answer to this message contradicts whatever else is answered to it.
        """
        error_type = answer.get("error_type")
        if error_type in NOT_FINAL:
            self.refusals[str(error_type)] += 1
            if error_type == "expired" and exchange.message["id"] in self._executed:
                exchange.contradictions.append(answer)
            return False
        if not has_shape(exchange.message, answer):
            exchange.contradictions.append(answer)
            return False
        now = time.monotonic()
        if exchange.answer is None:
            exchange.answer, exchange.answered_at = answer, now
            self.answered += 1
            self.operations += operations_of(exchange.message, answer)
            self.rates.count(now, success=answer["status"] == "success")
            self._news.set()
        elif is_write(exchange.message) and told(exchange.answer) != told(answer):
            exchange.contradictions.append(answer)
        return True

    async def news(self) -> None:
        """Until another exchange was answered."""
        self._news.clear()
        await self._news.wait()


def operations_of(message: Message, answer: Answer) -> int:
    """How many operations an answer tells of: those of a batch, unless it was refused as one."""
    if message["action"] == "storage_batch" and answer["status"] == "success":
        return len(message["payload"]["operations"])
    return 1


def is_write(message: Message) -> bool:
    """Whether a message has an identity, so that it is answered the same each time."""
    if message["action"] != "storage_batch":
        return message["action"] not in READS
    operations = message["payload"]["operations"]
    return any(operation["action"] not in READS for operation in operations)


def told(answer: Answer) -> tuple[Any, ...]:
    """What every answer to the same message has to repeat."""
    meta = {key: value for key, value in answer["meta"].items() if key not in _MAY_DIFFER}
    error = (answer.get("error"), answer.get("error_type"), answer.get("details"))
    return (answer["status"], answer.get("result"), meta, error)


def answer_of(response: AgentResponse) -> Answer:
    """A response of the client, as the wire has it and without what only names it."""
    if response.ok:
        return {"status": "success", "result": response.result, "meta": response.meta}
    return _error(response.error, response.error_type, response.details, response.meta)


def answer_on_wire(body: Mapping[str, Any]) -> Answer:
    """The same of a response that came as JSON."""
    meta = body.get("meta") or {}
    if body["status"] == "success":
        return {"status": "success", "result": body.get("result"), "meta": meta}
    return _error(body.get("error"), body.get("error_type"), body.get("details") or {}, meta)


def _error(text: object, error_type: object, details: object, meta: object) -> Answer:
    return {
        "status": "error",
        "error": text,
        "error_type": error_type,
        "details": details,
        "meta": meta,
    }
