"""What was asked and answered in an episode, in virtual time."""

from collections.abc import Callable

from tests.chaos.history import Answer, Exchange, Violation
from tests.chaos.load.recording import NOT_FINAL, is_write, told
from tests.simulation.plans import Operation


class Recorder:
    """Every exchange of an episode, by the id of its message."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._exchanges: dict[str, Exchange] = {}
        self.wrongs: list[str] = []
        self.violations: list[Violation] = []

    @property
    def exchanges(self) -> list[Exchange]:
        """In the order of asking."""
        return list(self._exchanges.values())

    def known(self, message_id: str) -> Exchange | None:
        """The exchange of a message."""
        return self._exchanges.get(message_id)

    def begin(self, operation: Operation) -> Exchange:
        """It is about to be sent, for the first time or another one."""
        exchange = self._exchanges.get(operation.id)
        if exchange is None:
            exchange = Exchange(operation.message, self._now())
            self._exchanges[operation.id] = exchange
        return exchange

    def take(self, exchange: Exchange, answer: Answer) -> bool:
        """An answer came; whether it ends the exchange."""
        if answer.get("error_type") == "internal_error":
            self.wrongs.append(f"{exchange.message['id']} is answered {answer}")
        if answer.get("error_type") in NOT_FINAL:
            return False
        if exchange.answer is None:
            exchange.answer, exchange.answered_at = answer, self._now()
        elif is_write(exchange.message) and told(exchange.answer) != told(answer):
            exchange.contradictions.append(answer)
        return True
