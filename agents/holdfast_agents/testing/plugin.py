"""The pytest plugin: options, marker and fixtures.

pytest loads this module in every suite of an environment that has Holdfast installed, so it
imports nothing but pytest. Whatever needs an event loop stands in `async_fixtures`.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from holdfast_agents.base.agent import Agent
    from holdfast_agents.replay import Report

_OPTION = "holdfast_backend"
_MEMORY = "memory://"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the backend is named for a whole run."""
    text = "store of Holdfast's fixtures: memory (default), sqlite (a fresh file), or a URL"
    group = parser.getgroup("holdfast")
    group.addoption("--holdfast-backend", dest=_OPTION, metavar="BACKEND", help=text)
    parser.addini(_OPTION, text, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the asynchronous fixtures where somebody can run them."""
    config.addinivalue_line(
        "markers", "holdfast(backend): the store of this test's holdfast fixtures"
    )
    has_asyncio = config.pluginmanager.hasplugin("asyncio")
    name = "async_fixtures" if has_asyncio else "missing_asyncio"
    fixtures = import_module(f"{__package__}.{name}")
    config.pluginmanager.register(fixtures, "holdfast_fixtures")


@pytest.fixture
def holdfast_backend_url(request: pytest.FixtureRequest) -> str:
    """The URL of the store; override it to choose another.

    What `@pytest.mark.holdfast(backend=…)` says, else the option `--holdfast-backend`, else the
    ini key `holdfast_backend`, else an in-memory store. `sqlite` is a fresh file for each test.
    """
    chosen = _marked(request) or request.config.getoption(_OPTION) or request.config.getini(_OPTION)
    if not isinstance(chosen, str):
        _refuse(f"a holdfast backend is a text, not {chosen!r}")
    if chosen in ("", "memory", _MEMORY):
        return _MEMORY
    if chosen == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return f"sqlite:///{folder / 'holdfast.db'}"
    if "://" not in chosen:
        _refuse(
            f"no holdfast backend: {chosen!r}; it is memory, sqlite, or a URL such as redis://…"
        )
    return chosen


def _marked(request: pytest.FixtureRequest) -> Any:
    marker = request.node.get_closest_marker("holdfast")
    if marker is None:
        return None
    if marker.args or marker.kwargs.keys() != {"backend"}:
        _refuse("the marker is written @pytest.mark.holdfast(backend=…)")
    return marker.kwargs["backend"]


@pytest.fixture
def holdfast_bus_url() -> str:
    """The URL of the test's bus, for clients of your own."""
    return f"memory://{uuid4()}"


@pytest.fixture
def holdfast_agents() -> "Iterable[Agent[Any]]":
    """Your own agents, to run beside the storage agent; override it. There are none by default."""
    return ()


@pytest.fixture(name="assert_replay")
def _assert_replay(
    request: pytest.FixtureRequest, holdfast_agents: "Iterable[Agent[Any]]"
) -> "Callable[..., Report]":
    """`holdfast_agents.testing.assert_replay`, with the agents of `holdfast_agents` by default. A
    relative path is looked for beside the test's file, then at the root of the suite."""
    from .replays import assert_replay

    own = tuple(holdfast_agents)
    folders = (request.path.parent, request.config.rootpath)

    def assert_found_replay(log: str | Path, **options: Any) -> "Report":
        __tracebackhide__ = True
        found = next((path for folder in folders if (path := folder / log).is_file()), log)
        return assert_replay(found, **{"agents": own, **options})

    return assert_found_replay


def _refuse(text: str) -> NoReturn:
    pytest.fail(text, pytrace=False)
