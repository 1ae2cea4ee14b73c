"""Where a broker is: one URL with one or several hosts, and which of them is tried next.

`amqp[s]://[user[:password]@]host[:port][,host[:port]…][/vhost][?option=value…]`. The texts of
the refusals never repeat the URL: it may hold a password.
"""

import random
from collections.abc import Sequence

from yarl import URL

HEARTBEAT_SECONDS = 10
"""The longest; a URL may ask for less."""

_LONGEST_ATTEMPT = 10.0
_LONGEST_ATTEMPT_OF_SEVERAL = 3.0
_SHORTEST_ATTEMPT = 0.5


def parsed_hosts(url: str) -> tuple[URL, ...]:
    """A URL for each host, in the order given; all but the host is the same in all of them.

    Raises ValueError.
    """
    scheme, _, rest = url.partition("://")
    end = min((found for mark in "/?#" if (found := rest.find(mark)) >= 0), default=len(rest))
    user, at, hosts = rest[:end].rpartition("@")
    if "," in user.partition("@")[2]:
        raise ValueError(
            "The bus URL names a user more than once: write user:password@ once, before the "
            "first host (an @ in a password is %40)"
        )
    names = hosts.split(",")
    if rest[end:].startswith("//") and names[-1].endswith(":"):
        raise ValueError("The bus URL names its scheme more than once: write it before the first")
    if len(names) > 1 and not all(names):
        raise ValueError("The bus URL has an empty host: write host:port,host:port")
    if any(character.isspace() for character in hosts):
        raise ValueError("The bus URL has a space in a host: write host:port,host:port")
    return tuple(
        dict.fromkeys(_parsed(f"{scheme}://{user}{at}{name}{rest[end:]}") for name in names)
    )


def _parsed(url: str) -> URL:
    """A URL of one host, its heartbeat at most 10 seconds."""
    try:
        parsed = URL(url)
        heartbeat = int(parsed.query.get("heartbeat", HEARTBEAT_SECONDS))
        host, _ = parsed.host, parsed.port  # both may turn out malformed
    except ValueError:
        raise ValueError(
            "The bus URL is malformed: write amqp://user:password@host:port/vhost, several "
            "hosts with commas between them, anything special in user or password as %XX"
        ) from None
    if not host:
        raise ValueError("The bus URL names no host")
    return parsed.update_query(heartbeat=max(1, min(heartbeat, HEARTBEAT_SECONDS)))


def host_text(url: URL) -> str:
    """Host and port, for a log."""
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host
    return f"{host}:{url.port or (5671 if url.scheme == 'amqps' else 5672)}"


class Hosts:
    """The hosts of one broker, for all connections of a bus: what one learns, the others know.

    They begin with a random one, the same for all of them, so that processes spread over the
    nodes and the death of a node hits few of them. `timeout` is that of the bus's operations,
    in seconds: a host that does not answer uses up no more than its part of it.
    """

    def __init__(self, urls: Sequence[URL], timeout: float) -> None:
        self._order = random.sample(urls, len(urls))
        self._share = timeout / len(urls)
        self._rounds = 0

    def in_turn(self) -> tuple[URL, ...]:
        """All of them: that which was lost or failed last, last."""
        return tuple(self._order)

    @property
    def attempt_timeout(self) -> float:
        """How many seconds a host has to accept a connection. It grows while none does: they
        may be slow, all of them."""
        if len(self._order) == 1:
            return _LONGEST_ATTEMPT
        share = max(_SHORTEST_ATTEMPT, min(self._share, _LONGEST_ATTEMPT_OF_SEVERAL))
        return float(min(_LONGEST_ATTEMPT, share * 2**self._rounds))

    def put_last(self, url: URL) -> None:
        """It was lost, or did not answer."""
        self._order.remove(url)
        self._order.append(url)

    def none_answered(self) -> None:
        """All were tried in vain."""
        self._rounds = min(self._rounds + 1, 8)

    def answered(self) -> None:
        self._rounds = 0
