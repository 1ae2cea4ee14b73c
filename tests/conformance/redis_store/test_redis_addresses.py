"""What URLs of Redis say, and which are refused; `address.py`."""

import pytest

from holdfast_backends.errors import InvalidValueError
from holdfast_backends.opening import open_backend
from holdfast_backends.redis import RedisBackend
from holdfast_backends.redis_store.address import Kind, parse_address


def test_an_address_has_defaults() -> None:
    address = parse_address("redis://")
    assert address.kind is Kind.SERVER
    assert (address.host, address.port, address.database) == ("localhost", 6379, 0)
    assert (address.namespace, address.encrypted) == ("holdfast", False)
    assert (address.username, address.password) == (None, None)


def test_an_address_is_read_whole() -> None:
    address = parse_address("rediss://me:p%40ss@[::1]:7000/3?namespace=other")
    assert (address.host, address.port, address.database) == ("::1", 7000, 3)
    assert (address.namespace, address.encrypted) == ("other", True)
    assert (address.username, address.password) == ("me", "p@ss")
    assert "p@ss" not in repr(address)


def test_sentinels_are_read_with_the_name_that_they_know() -> None:
    address = parse_address(
        "redis+sentinel://me:p%40ss@one:1,two,[::1]:3/my-master/2"
        "?sentinel_username=guard&sentinel_password=s%26cret&namespace=other"
    )
    assert address.kind is Kind.SENTINELS
    assert address.nodes == (("one", 1), ("two", 26379), ("::1", 3))
    assert (address.service, address.database, address.namespace) == ("my-master", 2, "other")
    assert (address.username, address.password) == ("me", "p@ss")
    assert (address.sentinel_username, address.sentinel_password) == ("guard", "s&cret")
    assert not address.encrypted
    assert "p@ss" not in repr(address)
    assert "s&cret" not in repr(address)


def test_behind_sentinels_database_0_is_the_default() -> None:
    address = parse_address("rediss+sentinel://one/mymaster")
    assert (address.database, address.encrypted) == (0, True)
    assert (address.sentinel_username, address.sentinel_password) == (None, None)


@pytest.mark.parametrize("path", ["", "/", "/0"])
def test_some_nodes_of_a_cluster_are_read(path: str) -> None:
    address = parse_address(f"redis+cluster://:secret@one:7000,two{path}")
    assert address.kind is Kind.CLUSTER
    assert address.nodes == (("one", 7000), ("two", 6379))
    assert (address.password, address.database, address.encrypted) == ("secret", 0, False)
    assert parse_address("rediss+cluster://one").encrypted


def test_the_urls_namespace_goes_before_the_arguments() -> None:
    assert parse_address("redis://h?namespace=a", "b").namespace == "a"
    assert parse_address("redis://h", "b:1").namespace == "b:1"
    assert parse_address("redis+cluster://h?namespace=a", "b").namespace == "a"


def test_addresses_of_the_sixth_version_stand_anywhere() -> None:
    address = parse_address("redis+cluster://:p[w@[::1],one:2,[::2]:3/")
    assert address.nodes == (("::1", 6379), ("one", 2), ("::2", 3))
    assert address.password == "p[w"


def test_a_sentinel_that_is_named_twice_has_one_vote() -> None:
    address = parse_address("redis+sentinel://one,one:26379,two/mymaster")
    assert address.nodes == (("one", 26379), ("two", 26379))


@pytest.mark.parametrize("way", ["", "+sentinel", "+cluster"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_every_scheme_opens_the_backend(scheme: str, way: str) -> None:
    path = "/mymaster" if way == "+sentinel" else ""
    assert isinstance(open_backend(f"{scheme}{way}://h{path}"), RedisBackend)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://secret@nowhere", "begins with redis://, redis+sentinel://, redis+cluster://"),
        ("redis+sentry://:secret@nowhere", "begins with redis://"),
        ("redis+://:secret@nowhere", "begins with redis://"),
        ("redis://:secret@nowhere:port", "write host:port"),
        ("redis://:secret@nowhere:0", "1 to 65535"),
        ("redis://:secret@nowhere:65536", "1 to 65535"),
        ("redis://:secret@nowhere,elsewhere", "redis+sentinel:// or redis+cluster://"),
        ("redis://:secret@nowhere/one", "database number"),
        ("redis://:secret@nowhere/0/1", "database number"),
        ("redis://:secret@nowhere/-1", "database number"),
        ("redis://:secret@nowhere?timeout=3", "unknown option of a Redis URL: timeout"),
        ("redis://:secret@nowhere?sentinel_password=secret", "unknown option"),
        ("redis://:a?secret@nowhere/0", "%XX"),
        ("redis+sentinel://:a?secret&b@nowhere/mymaster", "%XX"),
        ("redis:nowhere", "begins with redis://"),
        ("redis://:secret@nowhere?namespace=a&namespace=b", "one namespace"),
        ("redis://:secret@nowhere?namespace=", "1 to 64 letters"),
        ("redis://:secret@nowhere?namespace=%7Ba%7D", "1 to 64 letters"),
        ("redis://:secret@nowhere#0", "no fragment"),
        ("redis://[::1", "cannot be read"),
        ("redis+sentinel://:secret@nowhere", "/mymaster/0"),
        ("redis+sentinel://:secret@nowhere/", "/mymaster/0"),
        ("redis+sentinel://:secret@nowhere/my master", "/mymaster/0"),
        ("redis+sentinel://:secret@nowhere/mymaster/one", "/mymaster/0"),
        ("redis+sentinel://:secret@nowhere/mymaster/0/1", "/mymaster/0"),
        ("redis+sentinel://:secret@/mymaster", "is empty"),
        ("redis+sentinel://:secret@nowhere,/mymaster", "is empty"),
        ("redis+sentinel://:secret@nowhere:1:2/mymaster", "write host:port"),
        ("redis+sentinel://h/m?sentinel_password=secret&sentinel_password=secret", "one sentinel_"),
        ("redis+cluster://:secret@", "is empty"),
        ("redis+cluster://:secret@nowhere,,elsewhere", "is empty"),
        ("redis+cluster://:secret@nowhere/1", "database 0 only"),
        ("redis+cluster://:secret@nowhere/mymaster", "database 0 only"),
        ("redis+cluster://:secret@nowhere?replicas=1", "there are: namespace"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_do(url: str, advice: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_address(url)
    assert advice in caught.value.message
    for hidden in ("secret", "nowhere", "elsewhere"):
        assert hidden not in caught.value.message
