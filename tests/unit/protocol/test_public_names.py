"""The package's root: what is exported, and the closed list of errors."""

import holdfast_protocol
from holdfast_protocol import HoldfastError
from holdfast_protocol.errors import error_from

# Wire contract, section 4; `closed` is the library's own.
AGENT_TYPES = {
    "validation_error",
    "unknown_action",
    "not_found",
    "conflict",
    "forbidden",
    "unauthenticated",
    "expired",
    "cancelled",
    "too_large",
    "rate_limited",
    "overloaded",
    "unavailable",
    "storage_error",
    "internal_error",
}
CLIENT_TYPES = {"no_route", "timeout", "closed"}
RETRY_MAY_HELP = {"rate_limited", "overloaded", "unavailable", "no_route", "timeout"}


def _classes() -> list[type[HoldfastError]]:
    return HoldfastError.__subclasses__()


def test_all_is_sorted_and_without_repetition() -> None:
    names = holdfast_protocol.__all__
    assert names == sorted(set(names))


def test_every_name_exists() -> None:
    assert all(hasattr(holdfast_protocol, name) for name in holdfast_protocol.__all__)


def test_every_error_is_exported() -> None:
    exported = set(holdfast_protocol.__all__)
    assert {cls.__name__ for cls in _classes()} | {"HoldfastError"} <= exported


def test_each_error_type_has_exactly_one_class() -> None:
    types = [cls.error_type for cls in _classes()]
    assert sorted(types) == sorted(AGENT_TYPES | CLIENT_TYPES)


def test_the_tree_is_flat() -> None:
    assert all(not cls.__subclasses__() for cls in _classes())


def test_an_answered_error_becomes_its_class() -> None:
    for cls in _classes():
        error = error_from(cls.error_type, "text", {"a": 1})
        assert type(error) is cls
        assert (str(error), error.details) == ("text", {"a": 1})


def test_only_errors_that_may_pass_are_retryable() -> None:
    assert {cls.error_type for cls in _classes() if cls.retryable} == RETRY_MAY_HELP
