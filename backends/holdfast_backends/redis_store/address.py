"""Where a Redis is: `redis://[[user]:password@]host[:port][/db][?namespace=…]`, or `rediss://`.

Everything else in a URL is refused, so that a misspelt option is never ignored. The texts of
the refusals never repeat the URL: it may hold a password.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from holdfast_backends.errors import InvalidValueError

DEFAULT_NAMESPACE = "holdfast"
_DEFAULT_PORT = 6379
_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Address:
    """A server, a database of it, and the namespace that all keys stand in."""

    host: str
    port: int
    database: int
    namespace: str
    encrypted: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_address(url: str, namespace: str | None = None) -> Address:
    """Read a URL; the namespace it names goes before the argument's, which may be a default.

    Raises:
        InvalidValueError: naming what is wrong.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORT
    except ValueError:
        raise InvalidValueError("the Redis URL cannot be read", ("url",)) from None
    if parts.scheme not in ("redis", "rediss"):
        raise InvalidValueError("a Redis URL begins with redis:// or rediss://", ("url",))
    if parts.fragment:
        raise InvalidValueError("a Redis URL has no fragment", ("url",))
    return Address(
        host=unquote(parts.hostname or "localhost"),
        port=port,
        database=_database(parts.path),
        namespace=_checked(_option(parts.query) or namespace or DEFAULT_NAMESPACE),
        encrypted=parts.scheme == "rediss",
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def _database(path: str) -> int:
    text = path.strip("/")
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise InvalidValueError("a Redis URL's path is a database number", ("url",))
    return int(text)


def _option(query: str) -> str | None:
    options = parse_qs(query, keep_blank_values=True)
    unknown = sorted(options.keys() - {"namespace"})
    if unknown:
        raise InvalidValueError(f"unknown option of a Redis URL: {unknown[0]}", ("url",))
    values = options.get("namespace")
    if values is None:
        return None
    if len(values) != 1:
        raise InvalidValueError("a Redis URL has one namespace", ("url",))
    return _checked(values[0])


def _checked(namespace: str) -> str:
    if _NAMESPACE.fullmatch(namespace) is None:
        raise InvalidValueError(
            "a namespace is 1 to 64 letters, digits, '_', '.', ':' or '-'", ("namespace",)
        )
    return namespace
