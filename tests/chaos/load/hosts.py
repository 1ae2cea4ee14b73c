"""Plain clients of a cluster."""

from random import choice

from yarl import URL

from holdfast_protocol.bus.rabbitmq.hosts import parsed_hosts


def any_host(bus: str) -> URL:
    """A URL of one of the hosts that the URL of a bus names: another one may be up."""
    return choice(parsed_hosts(bus))
