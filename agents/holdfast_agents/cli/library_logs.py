"""What libraries say through `logging`, as lines of our own log."""

import logging

import stamina.instrumentation
from stamina.instrumentation import RetryDetails

from holdfast_agents.logs import Logger


class _Forward(logging.Handler):
    def __init__(self, log: Logger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_info[1] if record.exc_info else None
        facts = {} if exception is None else {"exc_info": exception}
        self._log.log(record.levelno, record.getMessage(), logger=record.name, **facts)


def forward_library_logs(log: Logger, level: int) -> None:
    """Tell what our bus logs from this level on, and what others log from warnings on.

    These are settings of the whole process, which therefore only a command makes.

    The AMQP driver stays silent: every loss that it reports as an error is told, and mended,
    by our bus.
    """
    root = logging.getLogger()
    root.handlers = [_Forward(log)]
    root.setLevel(logging.WARNING)
    logging.getLogger("holdfast").setLevel(level)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)

    def tell_of_retry(details: RetryDetails) -> None:
        log.warning(
            "trying again",
            after_seconds=round(details.wait_for, 3),
            waited_seconds=round(details.waited_so_far, 3),
            attempt=details.retry_num,
            error=str(details.caused_by),
        )

    stamina.instrumentation.set_on_retry_hooks([tell_of_retry])
