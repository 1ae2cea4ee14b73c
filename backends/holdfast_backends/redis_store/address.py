"""Where a Redis is, as a URL:

    redis://[[user]:password@]host[:port][/db]                     one server
    redis+sentinel://[[user]:password@]host[:port],…/name[/db]     whom the sentinels call `name`
    redis+cluster://[[user]:password@]host[:port],…[/]             a Redis Cluster

With TLS `rediss`, `rediss+sentinel`, `rediss+cluster`. Options: `?namespace=…`, and for
sentinels that ask who is there `sentinel_username` and `sentinel_password`. User and password are
those of the servers that keep the data.

Everything else in a URL is refused, so that a misspelt option is never ignored. The texts of
the refusals never repeat the URL: it may hold a password.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qs, unquote

from holdfast_backends.errors import InvalidValueError

DEFAULT_NAMESPACE = "holdfast"
_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
# Not urlsplit: newer versions of it refuse an IPv6 address that is not the first host.
_URL = re.compile(
    r"(?P<scheme>[^:/?#@]*)://(?:(?P<user>[^/?#]*)@)?(?P<hosts>[^/?#@]*)"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.DOTALL,
)
_HOST = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[^:\[\]\s]*))(?::(?P<port>[0-9]{1,5}))?"
)
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,255}")  # what a sentinel takes for a name

Node = tuple[str, int]
"""A host and a port."""


class Kind(Enum):
    """What stands at the address."""

    SERVER = "redis"
    SENTINELS = "redis+sentinel"
    CLUSTER = "redis+cluster"


_DEFAULT_PORTS = {Kind.SERVER: 6379, Kind.SENTINELS: 26379, Kind.CLUSTER: 6379}
_SCHEMES = ", ".join(f"{kind.value}://" for kind in Kind)
_NO_SCHEME = f"a Redis URL begins with {_SCHEMES} or the same with rediss"


@dataclass(frozen=True, slots=True)
class Address:
    """Servers, a database of theirs, and the namespace that all keys stand in.

    Args:
        nodes: the server; or sentinels; or some nodes of a cluster, by which the rest is found.
        service: what the sentinels call the group of servers.
    """

    kind: Kind
    nodes: tuple[Node, ...]
    database: int
    namespace: str
    encrypted: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    service: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The first host."""
        return self.nodes[0][0]

    @property
    def port(self) -> int:
        """The first port."""
        return self.nodes[0][1]


def parse_address(url: str, namespace: str | None = None) -> Address:
    """Read a URL; the namespace it names goes before the argument's, which may be a default.

    Raises:
        InvalidValueError: naming what is wrong.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _refused(_NO_SCHEME)
    scheme = parts["scheme"].lower()
    kind = _kind(scheme)
    if parts["fragment"]:
        raise _refused("a Redis URL has no fragment")
    options = _options(kind, parts["query"] or "")
    service, database = _path(kind, parts["path"] or "")
    username, password = _credentials(parts["user"] or "")
    return Address(
        kind=kind,
        nodes=_nodes(kind, parts["hosts"]),
        database=database,
        namespace=_checked(options.get("namespace") or namespace or DEFAULT_NAMESPACE),
        encrypted=scheme.startswith("rediss"),
        username=username,
        password=password,
        service=service,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
    )


def _kind(scheme: str) -> Kind:
    name, separator, way = scheme.partition("+")
    if name in ("redis", "rediss"):
        for kind in Kind:
            if kind.value == f"redis{separator}{way}":
                return kind
    raise _refused(_NO_SCHEME)


def _credentials(text: str) -> tuple[str | None, str | None]:
    user, _, password = text.partition(":")
    return unquote(user) or None, unquote(password) or None


def _nodes(kind: Kind, text: str) -> tuple[Node, ...]:
    names = text.split(",")
    if kind is Kind.SERVER:
        if len(names) > 1:
            raise _refused(
                "a redis:// URL has one host; for several begin it with redis+sentinel:// or "
                "redis+cluster://"
            )
        return (_node(kind, text, "localhost"),)
    # Once each: a sentinel has one vote.
    return tuple(dict.fromkeys(_node(kind, name, "") for name in names))


def _node(kind: Kind, text: str, default: str) -> Node:
    found = _HOST.fullmatch(text)
    if found is None:
        raise _refused("a host of the Redis URL cannot be read: write host:port")
    host = found["v6"] or unquote(found["name"] or "") or default
    port = int(found["port"] or _DEFAULT_PORTS[kind])
    if not host:
        raise _refused("a host of the Redis URL is empty: write host:port,host:port")
    if not 0 < port < 65536:
        raise _refused("a port of the Redis URL is none: it is 1 to 65535")
    return host, port


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """The name that sentinels know, and the database."""
    text = path.strip("/")
    match kind:
        case Kind.SERVER:
            return "", _database(text, "a Redis URL's path is a database number")
        case Kind.CLUSTER:
            if text not in ("", "0"):
                raise _refused("a Redis Cluster has database 0 only: leave the path away")
            return "", 0
        case Kind.SENTINELS:
            service, _, number = text.partition("/")
            if _SERVICE.fullmatch(unquote(service)) is None:
                raise _refused(
                    "the path of a redis+sentinel:// URL is the name that the sentinels know, "
                    "and a database number: /mymaster/0"
                )
            return unquote(service), _database(
                number, "behind the name a redis+sentinel:// URL has a database number: /mymaster/0"
            )


def _database(text: str, advice: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise _refused(advice)
    return int(text)


def _options(kind: Kind, query: str) -> Mapping[str, str]:
    found = parse_qs(query, keep_blank_values=True)
    known = {"namespace"}
    if kind is Kind.SENTINELS:
        known |= {"sentinel_username", "sentinel_password"}
    unknown = sorted(found.keys() - known)
    if unknown and "@" in query:  # of a password with a ? in it, which is not to be told
        raise _refused("a special character of user or password in a Redis URL is written as %XX")
    if unknown:
        there = ", ".join(sorted(known))
        raise _refused(f"unknown option of a Redis URL: {unknown[0]}; there are: {there}")
    for name, values in found.items():
        if len(values) != 1:
            raise _refused(f"a Redis URL has one {name}")
    if "namespace" in found:
        _checked(found["namespace"][0])
    return {name: values[0] for name, values in found.items()}


def _checked(namespace: str) -> str:
    if _NAMESPACE.fullmatch(namespace) is None:
        raise InvalidValueError(
            "a namespace is 1 to 64 letters, digits, '_', '.', ':' or '-'", ("namespace",)
        )
    return namespace


def _refused(text: str) -> InvalidValueError:
    return InvalidValueError(text, ("url",))
