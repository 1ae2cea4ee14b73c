"""Logs: structlog, JSON on stderr, or for people's eyes on a terminal. Nothing global.

A line about a message has agent, action, message_id, correlation_id, outcome and duration, and
never a value of its payload.
"""

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

Logger = FilteringBoundLogger
Style = Literal["auto", "json", "console"]
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": 30, "error": logging.ERROR}


def build_logger(
    level: str = "info", style: Style = "auto", stream: TextIO | None = None
) -> Logger:
    """A logger that writes to a stream (stderr by default).

    Args:
        level: `debug` (every message), `info` (failed ones and the service's life), `warning`,
            `error`.
        style: `auto` is `console` on a terminal, else `json`.
    """
    target = stream if stream is not None else sys.stderr
    on_terminal = style == "console" or (style == "auto" and target.isatty())
    renderer: Processor
    if on_terminal:
        renderer = structlog.dev.ConsoleRenderer(colors=target.isatty())
        exceptions: list[Processor] = []
    else:
        renderer = structlog.processors.JSONRenderer()
        exceptions = [structlog.processors.format_exc_info]
    logger: Logger = structlog.wrap_logger(
        structlog.PrintLogger(target),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
    )
    return logger


def quiet_logger() -> Logger:
    """What an agent inside somebody else's program logs with: warnings and worse."""
    return build_logger("warning")
