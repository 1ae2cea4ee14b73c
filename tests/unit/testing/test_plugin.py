"""The pytest plugin, in suites of its own: processes that know nothing of this one."""

from importlib.metadata import entry_points

import pytest

from tests.unit.replay.todo_workflow import TODO_LOG

pytest_plugins = ["pytester"]

_INI = """
[pytest]
asyncio_mode = {mode}
asyncio_default_fixture_loop_scope = function
filterwarnings = error
addopts = --strict-markers --strict-config -p no:cacheprovider
"""


class Suites:
    """Suites that are run as a user would."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def run(self, source: str, *options: str, mode: str = "auto", ini: str = "") -> str:
        """What pytest says of a suite of one file; its first lines tell how it ended."""
        self.pytester.makefile(".ini", pytest=_INI.format(mode=mode) + ini)
        self.pytester.makepyfile(test_suite=source)
        result = self.pytester.runpytest_subprocess(*options)
        return f"exit {int(result.ret)}\n{result.stdout.str()}\n{result.stderr.str()}"


@pytest.fixture
def suites(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suites:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Suites(pytester)


def test_it_is_found_by_its_entry_point() -> None:
    (found,) = [point for point in entry_points(group="pytest11") if point.name == "holdfast"]
    assert found.value == "holdfast_agents.testing.plugin"


def test_loading_it_imports_nothing_heavy(suites: Suites) -> None:
    said = suites.run(
        """
        import sys

        def test_nothing_of_holdfast_but_the_plugin():
            loaded = [name for name in sys.modules if name.startswith("holdfast")]
            allowed = {"holdfast_agents", "holdfast_agents.testing"}
            plugin = {"plugin", "async_fixtures"}
            assert set(loaded) <= allowed | {f"holdfast_agents.testing.{name}" for name in plugin}
            assert not {"aio_pika", "sqlalchemy", "pydantic", "typer"} & set(sys.modules)
        """
    )
    assert "1 passed" in said, said


_FIXTURES = """
import pytest
from holdfast_protocol import AgentClient

async def test_a_client_of_a_service(holdfast_client, holdfast_bus, holdfast_service):
    record = await holdfast_client.storage.save({"title": "Water the kelp"})
    assert record.id == 1
    assert holdfast_client.sender == "test_a_client_of_a_service"
    assert holdfast_service.bus is holdfast_bus
    assert holdfast_service.ready

async def test_the_next_test_finds_nothing_of_it(holdfast_client):
    assert await holdfast_client.storage.count() == 0

async def test_another_client_meets_the_service(holdfast_client, holdfast_bus_url):
    async with AgentClient(holdfast_bus_url, sender="other") as other:
        await other.storage.save({"id": 7})
    assert (await holdfast_client.storage.get(7)).id == 7

@pytest.mark.parametrize("name", ["x" * 300, "\\u00fc \\U0001f30a \\x00"])
async def test_any_name_is_a_sender(holdfast_client, name):
    assert len(holdfast_client.sender) <= 128
    assert (await holdfast_client.storage.save({"n": 1})).id == 1

def test_a_synchronous_one_knows_the_address(holdfast_backend_url):
    assert holdfast_backend_url == "memory://"
"""


def test_the_fixtures_give_each_test_a_service_of_its_own(suites: Suites) -> None:
    said = suites.run(_FIXTURES)
    assert "6 passed" in said, said


def test_they_work_in_strict_mode(suites: Suites) -> None:
    marked = _FIXTURES.replace("async def test", "@pytest.mark.asyncio\nasync def test")
    said = suites.run(marked, mode="strict")
    assert "6 passed" in said, said


_BACKENDS = """
import pytest

def test_chosen(holdfast_backend_url, tmp_path):
    assert holdfast_backend_url == f"sqlite:///{tmp_path / 'holdfast.db'}"

@pytest.mark.holdfast(backend="memory")
def test_marked(holdfast_backend_url):
    assert holdfast_backend_url == "memory://"

@pytest.mark.holdfast(backend="redis://somewhere/9")
def test_address(holdfast_backend_url):
    assert holdfast_backend_url == "redis://somewhere/9"

async def test_kept_there(holdfast_client, tmp_path):
    await holdfast_client.storage.save({"title": "Mend the net"})
    assert (tmp_path / "holdfast.db").is_file()

class TestOverridden:
    @pytest.fixture
    def holdfast_backend_url(self, tmp_path):
        return f"sqlite:///{tmp_path / 'own.db'}"

    async def test_own(self, holdfast_client, tmp_path):
        await holdfast_client.storage.save({"title": "Mend the net"})
        assert (tmp_path / "own.db").is_file()
"""


def test_the_backend_is_chosen_by_option(suites: Suites) -> None:
    said = suites.run(_BACKENDS, "--holdfast-backend", "sqlite")
    assert "5 passed" in said, said


def test_the_backend_is_chosen_by_ini_key(suites: Suites) -> None:
    said = suites.run(_BACKENDS, ini="holdfast_backend = sqlite\n")
    assert "5 passed" in said, said


def test_a_wrong_backend_is_refused_in_one_line(suites: Suites) -> None:
    said = suites.run(
        """
        import pytest

        def test_unknown(holdfast_backend_url): ...

        @pytest.mark.holdfast("memory")
        def test_misspelt(holdfast_backend_url): ...

        @pytest.mark.holdfast(backend=7)
        def test_no_text(holdfast_backend_url): ...
        """,
        "--holdfast-backend",
        "oracle",
    )
    assert "3 errors" in said, said
    assert "no holdfast backend: 'oracle'; it is memory, sqlite, or a URL" in said
    assert "the marker is written @pytest.mark.holdfast(backend=…)" in said
    assert "Traceback" not in said


_AGENTS = """
import pytest
from holdfast_agents import SimpleAgent
from holdfast_agents.base.simple import handles
from holdfast_agents.base.answers import Result
from holdfast_protocol.actions import ActionSpec, Payload

class Greet(Payload):
    name: str

GREET = ActionSpec("greeting_greet", Greet, dict[str, str], writes=False, summary="Say hello")

class GreetingAgent(SimpleAgent):
    def __init__(self, word="Hello"):
        self.word = word
        super().__init__("greeting", [handles(GREET, Greet, self.greet)])

    async def greet(self, message, payload):
        return Result({"greeting": f"{self.word}, {payload.name}"})

@pytest.fixture
def holdfast_agents():
    return [GreetingAgent()]
"""


def test_own_agents_serve_beside_the_storage_agent(suites: Suites) -> None:
    said = suites.run(
        _AGENTS
        + """
async def test_it_greets(holdfast_client):
    answer = await holdfast_client.request("greeting", "greeting_greet", {"name": "Ada"})
    assert answer.result == {"greeting": "Hello, Ada"}
    assert await holdfast_client.storage.count() == 0
"""
    )
    assert "1 passed" in said, said


def test_what_own_agents_answered_is_replayed(suites: Suites) -> None:
    said = suites.run(
        _AGENTS
        + """
from holdfast_agents import embedded
from holdfast_agents.journal import FileJournal
from holdfast_agents.wiring import ServiceOptions

@pytest.fixture
async def log(tmp_path, holdfast_agents):
    path = tmp_path / "log.jsonl"
    options = ServiceOptions(extra_agents=holdfast_agents, journal=FileJournal(path))
    async with embedded(options=options) as client:
        await client.request("greeting", "greeting_greet", {"name": "Ada"})
        await client.storage.save({"title": "Water the kelp"})
    return path

def test_the_same(assert_replay, log):
    assert assert_replay(log).compared == 2

def test_another_agent(assert_replay, log):
    with pytest.raises(AssertionError, match='got      "Ahoy, Ada"'):
        assert_replay(log, agents=[GreetingAgent("Ahoy")])

def test_nobody_there(assert_replay, log):
    with pytest.raises(AssertionError, match="give your own agents"):
        assert_replay(log, agents=[])
"""
    )
    assert "3 passed" in said, said


def test_replays_are_asserted_in_synchronous_and_asynchronous_tests(suites: Suites) -> None:
    (suites.pytester.path / "todo.jsonl").write_bytes(TODO_LOG.read_bytes())
    said = suites.run(
        """
        from holdfast_agents.testing import assert_replay as imported

        def test_synchronous(assert_replay):
            assert assert_replay("todo.jsonl").compared == 25

        async def test_asynchronous(assert_replay, holdfast_client):
            assert assert_replay("todo.jsonl", backend="memory://").ok
            assert await holdfast_client.storage.count() == 0

        def test_imported(tmp_path):
            assert imported("todo.jsonl", backend=f"sqlite:///{tmp_path / 'x.db'}").ok
        """
    )
    assert "3 passed" in said, said


def test_a_difference_fails_the_test_readably(suites: Suites) -> None:
    log = TODO_LOG.read_bytes().replace(b"Task with ID 99 not found", b"Nobody is here")
    (suites.pytester.path / "todo.jsonl").write_bytes(log)
    said = suites.run(
        """
        def test_it(assert_replay):
            assert_replay("todo.jsonl")
        """
    )
    assert "1 failed" in said, said
    assert "line 10  storage_get  get-missing" in said
    assert 'expected "Nobody is here"' in said
    assert 'got      "Task with ID 99 not found"' in said
    assert "compared 25 answers: 2 differ" in said
    assert "replays.py" not in said


def test_without_pytest_asyncio_only_what_needs_a_loop_is_refused(suites: Suites) -> None:
    (suites.pytester.path / "todo.jsonl").write_bytes(TODO_LOG.read_bytes())
    suites.pytester.makefile(".ini", pytest="[pytest]\nfilterwarnings = error\n")
    suites.pytester.makepyfile(
        """
        def test_plain(): ...

        def test_replay(assert_replay):
            assert_replay("todo.jsonl")

        def test_client(holdfast_client): ...
        """
    )
    result = suites.pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*holdfast_client needs pytest-asyncio*holdfast[[]testing]*"])


def test_a_suite_that_does_not_use_it_is_not_disturbed(suites: Suites) -> None:
    said = suites.run("def test_plain(): ...", "-W", "error")
    assert "1 passed" in said, said
