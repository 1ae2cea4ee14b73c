"""URLs of PostgreSQL: one host or several, and what is refused of them."""

import pytest

from holdfast_backends.errors import InvalidValueError
from holdfast_backends.sql.postgres_address import parse_postgres


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_one_host(scheme: str) -> None:
    address = parse_postgres(f"{scheme}://me:pass@host:5433/base?sslmode=require")
    assert address.servers == (("host", 5433),)
    assert (address.user, address.password, address.database) == ("me", "pass", "base")
    assert address.ssl == "require"


@pytest.mark.parametrize(
    ("written", "servers"),
    [
        ("h", (("h", 5432),)),
        ("h:", (("h", 5432),)),
        ("h1,h2", (("h1", 5432), ("h2", 5432))),
        ("h1:1,h2:2,h3", (("h1", 1), ("h2", 2), ("h3", 5432))),
        ("127.0.0.1:1,127.0.0.1:2", (("127.0.0.1", 1), ("127.0.0.1", 2))),
        ("[::1]:1,[fe80::2]", (("::1", 1), ("fe80::2", 5432))),
        ("h1,[::1]:7", (("h1", 5432), ("::1", 7))),
        ("%2Frun%2Fpostgresql", (("/run/postgresql", 5432),)),
        ("", ((None, None),)),
        (":5433", ((None, 5433),)),
    ],
)
def test_hosts_and_their_ports(
    written: str, servers: tuple[tuple[str | None, int | None], ...]
) -> None:
    assert parse_postgres(f"postgresql://me@{written}/base").servers == servers
    assert parse_postgres(f"postgresql://{written}").servers == servers


@pytest.mark.parametrize(
    "query",
    ["host=h1,h2&port=1,2", "host=h1:1,h2:2", "host=h1:1&host=h2:2", "host=h1,h2&port=1&port=2"],
)
def test_hosts_as_options(query: str) -> None:
    address = parse_postgres(f"postgresql:///base?{query}")
    assert address.servers == (("h1", 1), ("h2", 2))


def test_one_port_is_that_of_all_hosts() -> None:
    address = parse_postgres("postgresql://h1,h2/base?port=6432")
    assert address.servers == (("h1", 6432), ("h2", 6432))


def test_what_is_percent_encoded_is_decoded() -> None:
    address = parse_postgres("postgresql://m%40e:p%40%3A%2C%2F%3F%25w@h1,h2/b%20se")
    assert (address.user, address.password, address.database) == ("m@e", "p@:,/?%w", "b se")
    assert address.servers == (("h1", 5432), ("h2", 5432))


def test_a_password_may_hold_what_separates_elsewhere() -> None:
    address = parse_postgres("postgresql://me:a/b?c,d:e[f]#@h1,h2/base")
    assert address.password == "a/b?c,d:e[f]#"
    assert address.servers == (("h1", 5432), ("h2", 5432))


def test_what_is_not_named_is_left_to_the_driver() -> None:
    address = parse_postgres("postgresql://")
    assert (address.user, address.password, address.database) == (None, None, None)
    assert address.ssl is None


@pytest.mark.parametrize("hosts", ["h", "h1,h2"])
def test_the_server_that_takes_writes_is_looked_for(hosts: str) -> None:
    assert parse_postgres(f"postgresql://{hosts}/base").target == "read-write"
    chosen = parse_postgres(f"postgresql://{hosts}/base?target_session_attrs=primary")
    assert chosen.target == "primary"


def test_the_password_is_not_shown() -> None:
    assert "geheim" not in repr(parse_postgres("postgresql://me:geheim@h1,h2/base"))


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("mysql://me:geheim@h/b", "no URL of PostgreSQL"),
        ("postgresql+psycopg://me:geheim@h/b", "no URL of PostgreSQL"),
        ("no url", "no URL of PostgreSQL"),
        ("", "no URL of PostgreSQL"),
        ("postgresql://me:geheim@h1,,h2/b", "no name"),
        ("postgresql://me:geheim@h1,:5432/b", "no name"),
        ("postgresql://me:geheim@h/b?host=", "no name"),
        ("postgresql://me:geheim@h/b?host=:5433", "no name"),
        ("postgresql://me:geheim@h/b?host=h1,", "no name"),
        ("postgresql:///b?host=&port=5433", "no name"),
        ("postgresql://me:geheim@h1,h1:5432/b", "named twice"),
        ("postgresql://me:geheim@h:0/b", "1 to 65535"),
        ("postgresql://me:geheim@h:65536/b", "1 to 65535"),
        ("postgresql://me:geheim@h:5x/b", "cannot be read"),
        ("postgresql://me:geheim@h1, h2/b", "cannot be read"),
        ("postgresql://me:geheim@h1..h2/b", "cannot be read"),
        ("postgresql://me:geheim@h%00/b", "cannot be read"),
        ("postgresql://me:geheim@::1/b", "brackets"),
        ("postgresql://me:geheim@[::1/b", "cannot be read"),
        ("postgresql://me:geheim@h1,h2,h3/b?port=1,2", "as many ports"),
        ("postgresql://me:geheim@h/b?port=1,2", "as many ports"),
        ("postgresql://me:geheim@h/b?port=x", "1 to 65535"),
        ("postgresql://me:geheim@h/b?secret=geheim", "takes host, port"),
        ("postgresql://me:geheim@h/b?geheim", "cannot be read"),
        ("postgresql://me:geheim@h/b?sslmode=geheim", "sslmode"),
        ("postgresql://me:geheim@h/b?target_session_attrs=standby", "read-write, primary"),
        ("postgresql://me:geheim@h/b?target_session_attrs=any", "read-write, primary"),
    ],
)
def test_what_is_malformed_is_named_without_the_password(url: str, wrong: str) -> None:
    with pytest.raises(InvalidValueError, match=wrong) as caught:
        parse_postgres(url)
    assert "geheim" not in caught.value.message
    assert "geheim" not in str(caught.value.details)
