"""Where a PostgreSQL is: one server or several, of which one takes writes.

`postgresql://user:password@host:port,host:port/database?target_session_attrs=read-write`, as
libpq has it. Everything unknown is refused, so that a misspelt option is never ignored. The
texts of the refusals never repeat the URL: it may hold a password.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote

from holdfast_backends.errors import InvalidValueError

SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")

_DEFAULT_PORT: Final = 5432
_OPTIONS: Final = frozenset({"host", "port", "ssl", "sslmode", "target_session_attrs"})
_TARGETS: Final = ("read-write", "primary")
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# A password may hold everything but `@`, also what would end it elsewhere in a URL.
_URL: Final = re.compile(
    r"(?P<scheme>[^:/]+)://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<servers>[^/?@]*)"
    r"(?:/(?P<database>[^?]*))?"
    r"(?:\?(?P<query>.*))?"
)
_SERVER: Final = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d{0,5}))?")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """The servers of one database, and how to enter it. None: as the driver has it.

    Args:
        servers: hosts and ports, at least one; a host may be the directory of a socket.
        ssl: a mode of libpq's `sslmode`.
        target: `read-write` or `primary`: which of the servers is worked on.
    """

    servers: tuple[tuple[str | None, int | None], ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    ssl: str | None
    target: str


def parse_postgres(url: str) -> PostgresAddress:
    """Read a URL.

    Raises:
        InvalidValueError: naming what is wrong.
    """
    found = _URL.fullmatch(url)
    if found is None or found["scheme"] not in SCHEMES:
        raise InvalidValueError("this is no URL of PostgreSQL")
    options = _options(found["query"] or "")
    named = options.get("host")
    servers = _servers(named or _unquoted_each(found["servers"]), options.get("port", []))
    # Left away, a host is the driver's default; an option without one would hide those before it.
    if named is not None and any(host is None for host, _port in servers):
        raise InvalidValueError("a host of this PostgreSQL URL has no name")
    return PostgresAddress(
        servers=servers,
        user=_unquoted(found["user"]),
        password=_unquoted(found["password"]),
        database=_unquoted(found["database"]),
        ssl=_one_of(_SSL_MODES, options, "sslmode", "ssl"),
        target=_one_of(_TARGETS, options, "target_session_attrs") or _TARGETS[0],
    )


def _options(query: str) -> dict[str, list[str]]:
    """Each option's values; a list in one value is taken apart."""
    try:
        options = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise InvalidValueError("the options of this PostgreSQL URL cannot be read") from None
    if options.keys() - _OPTIONS:
        raise InvalidValueError(f"a PostgreSQL URL takes {', '.join(sorted(_OPTIONS))}")
    return {
        name: [part for value in values for part in value.split(",")]
        for name, values in options.items()
    }


def _one_of(allowed: tuple[str, ...], options: dict[str, list[str]], *names: str) -> str | None:
    for name in names:
        values = options.get(name)
        if values is None:
            continue
        if len(values) != 1 or values[0] not in allowed:
            raise InvalidValueError(f"{name} of a PostgreSQL URL is {', '.join(allowed)}")
        return values[0]
    return None


def _servers(named: list[str], ports: list[str]) -> tuple[tuple[str | None, int | None], ...]:
    """Hosts with their ports; a list of ports has one for each host, or one for all."""
    servers = [_server(text) for text in named]
    if len(servers) > 1 and any(host is None for host, _port in servers):
        raise InvalidValueError("a host of this PostgreSQL URL has no name")
    if ports:
        if len(ports) not in (1, len(servers)):
            raise InvalidValueError("this PostgreSQL URL has not as many ports as hosts")
        each = ports if len(ports) > 1 else ports * len(servers)
        servers = [(host, _port(text)) for (host, _own), text in zip(servers, each, strict=True)]
    if len(set(servers)) != len(servers):
        raise InvalidValueError("a host of this PostgreSQL URL is named twice")
    return tuple(servers)


def _server(text: str) -> tuple[str | None, int | None]:
    if text.startswith("/"):
        return text, _DEFAULT_PORT
    if text.count(":") > 1 and "[" not in text:
        raise InvalidValueError("an IPv6 address in a PostgreSQL URL stands in brackets")
    found = _SERVER.fullmatch(text)
    if found is None:
        raise InvalidValueError("a host of this PostgreSQL URL cannot be read")
    host = found["v6"] or found["name"] or None
    if host is not None and not _is_name(host):
        raise InvalidValueError("a host of this PostgreSQL URL cannot be read")
    if found["port"]:
        return host, _port(found["port"])
    return host, None if host is None else _DEFAULT_PORT


def _is_name(host: str) -> bool:
    """Whether it can be looked up; what is no name at all would fail there as nobody expects."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return host.isprintable() and " " not in host


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65_536):
        raise InvalidValueError("a port of this PostgreSQL URL is no number from 1 to 65535")
    return int(text)


def _unquoted(text: str | None) -> str | None:
    return unquote(text) if text else None


def _unquoted_each(servers: str) -> list[str]:
    parts: Iterable[str] = servers.split(",")
    return [unquote(part) for part in parts]
