"""URLs with several hosts, and the order in which they are tried."""

import pytest
from yarl import URL

from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.bus.rabbitmq.hosts import Hosts, host_text, parsed_hosts


def hosts_of(url: str) -> list[str]:
    return [host_text(parsed) for parsed in parsed_hosts(url)]


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("amqp://one", ["one:5672"]),
        ("amqp://u:p@one/", ["one:5672"]),
        ("amqps://u:p@one,two:5700/v", ["one:5671", "two:5700"]),
        (
            "amqp://u:p@h1:5672,h2:5673,[::1]:5674/v?heartbeat=5",
            ["h1:5672", "h2:5673", "[::1]:5674"],
        ),
        ("amqp://[::1],127.0.0.1", ["[::1]:5672", "127.0.0.1:5672"]),
        ("amqp://one,one,two", ["one:5672", "two:5672"]),
        ("amqp://u:p,w@one,two/", ["one:5672", "two:5672"]),
    ],
)
def test_a_url_names_one_host_or_several(url: str, hosts: list[str]) -> None:
    assert hosts_of(url) == hosts


def test_user_password_vhost_and_options_hold_for_all_hosts() -> None:
    for parsed in parsed_hosts("amqps://a%40b:p%2Cw%2F@h1,h2:1/v%2Fw?heartbeat=5&cafile=x"):
        assert (parsed.scheme, parsed.user, parsed.password) == ("amqps", "a@b", "p,w/")
        assert parsed.raw_path == "/v%2Fw"
        assert dict(parsed.query) == {"heartbeat": "5", "cafile": "x"}


@pytest.mark.parametrize("given", ["", "?heartbeat=60", "?heartbeat=0"])
def test_heartbeats_are_at_most_ten_seconds_apart(given: str) -> None:
    for parsed in parsed_hosts(f"amqp://one,two/{given}"):
        assert 1 <= int(parsed.query["heartbeat"]) <= 10


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://u:secret@one,/", "empty host"),
        ("amqp://u:secret@,one/", "empty host"),
        ("amqp://u:secret@one,,two/", "empty host"),
        ("amqp://u:secret@one, two/", "space in a host"),
        ("amqp://u:secret@one,two:port/", "several hosts with commas"),
        ("amqp://u:secret@one,two:99999999/", "malformed"),
        ("amqp://u:secret@one,[::1/", "malformed"),
        ("amqp://u:secret@one,:5672/", "names no host"),
        ("amqp://u:secret@one,u:secret@two/", "user:password@ once"),
        ("amqp://u:secret@one,amqp://u:secret@two/", "scheme more than once"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_the_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        open_bus(url)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def names(hosts: Hosts) -> list[str]:
    return [url.host or "" for url in hosts.in_turn()]


URLS = parsed_hosts("amqp://one,two,three")


def test_the_first_host_is_any_of_them() -> None:
    assert {names(Hosts(URLS, 10))[0] for _ in range(200)} == {"one", "two", "three"}


def test_the_host_that_failed_is_tried_last() -> None:
    hosts = Hosts(URLS, 10)
    first, second, third = hosts.in_turn()
    hosts.put_last(first)
    assert hosts.in_turn() == (second, third, first)
    hosts.put_last(first)  # another connection noticed, too
    assert hosts.in_turn() == (second, third, first)
    hosts.put_last(second)
    assert hosts.in_turn() == (third, first, second)


@pytest.mark.parametrize(
    ("count", "timeout", "seconds"),
    [(1, 10, 10), (1, 0.3, 10), (3, 10, 3), (3, 6, 2), (3, 0.3, 0.5)],
)
def test_one_silent_host_does_not_use_up_the_time_of_all(
    count: int, timeout: float, seconds: float
) -> None:
    assert Hosts(URLS[:count], timeout).attempt_timeout == pytest.approx(seconds)


def test_slow_hosts_get_more_time_while_none_of_them_answers() -> None:
    hosts = Hosts(URLS, 6)
    given = []
    for _ in range(4):
        given.append(hosts.attempt_timeout)
        hosts.none_answered()
    assert given == [2, 4, 8, 10]
    hosts.answered()
    assert hosts.attempt_timeout == 2


def test_a_host_is_told_without_user_and_password() -> None:
    assert host_text(URL("amqp://u:secret@one/")) == "one:5672"
