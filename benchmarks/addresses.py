"""Where the server processes find what they need: their environment, as in production."""

import os

AMQP_URL = "HOLDFAST_BENCH_AMQP_URL"


def amqp_url() -> str:
    """The URL that the benchmark gave to this process."""
    return os.environ[AMQP_URL]
