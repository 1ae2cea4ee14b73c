"""The wheel, installed where the checkout is not: everything is in it, and it imports light."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.acceptance.serving import clean_environment

_CHECKOUT = Path(__file__).resolve().parents[2]
_ROOTS = ("holdfast_protocol", "holdfast_backends", "holdfast_agents")
_PATIENCE = 120.0  # seconds: a bound for building and for each program

# Before each program: only the wheel, what it depends on, and no way back to the checkout.
_AWAY = """
import importlib.abc, sys
installed, blocked = {installed!r}, {blocked!r}
sys.path[:] = [installed] + [path for path in sys.path if path not in {sources!r}]

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError("No module named " + name, name=name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel of this checkout is installed, alone."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    _run([*pip, *build, str(_CHECKOUT)])
    (wheel,) = folder.glob("holdfast-*.whl")
    target = folder / "installed"
    _run([*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)])
    return target


def _run(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _run_away(installed: Path, program: str, *blocked: str) -> str:
    """What a program prints that only knows the installed wheel."""
    sources = [str(_CHECKOUT), *(str(_CHECKOUT / root.partition("_")[2]) for root in _ROOTS)]
    prelude = _AWAY.format(installed=str(installed), blocked=blocked, sources=sources)
    return _run([sys.executable, "-c", prelude + program], cwd=installed.parent)


def test_the_three_roots_are_typed_and_hold_nothing_else(installed: Path) -> None:
    packages = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert packages - {"bin", "__pycache__"} == set(_ROOTS)
    assert all((installed / root / "py.typed").is_file() for root in _ROOTS)


def test_every_source_file_is_in_the_wheel(installed: Path) -> None:
    for root in _ROOTS:
        source = _CHECKOUT / root.partition("_")[2] / root
        files = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
        wanted = {path for path in files if "__pycache__" not in path.parts}
        assert [str(path) for path in wanted if not (installed / root / path).is_file()] == []


def test_the_entry_points_are_the_command_and_a_backend_for_each_scheme(installed: Path) -> None:
    (text,) = installed.glob("holdfast-*.dist-info/entry_points.txt")
    points = ConfigParser()
    points.read(text)
    assert dict(points["console_scripts"]) == {"holdfast": "holdfast_agents.cli:main"}
    redis = {
        f"{scheme}{kind}"
        for scheme in ("redis", "rediss")
        for kind in ("", "+sentinel", "+cluster")
    }
    schemes = {"memory", "sqlite", "postgres", "postgresql"} | redis
    assert set(points["holdfast.backends"]) == schemes
    program = """
from importlib.metadata import entry_points
for point in entry_points(group="holdfast.backends"):
    assert callable(point.load()), point
"""
    _run_away(installed, program)


def test_everything_imports_from_the_wheel_and_an_embedded_service_works(installed: Path) -> None:
    program = """
import asyncio, holdfast_protocol, holdfast_backends, holdfast_agents
for root in (holdfast_protocol, holdfast_backends, holdfast_agents):
    assert root.__file__.startswith(installed), root.__file__
    for name in root.__all__:
        getattr(root, name)

async def main():
    async with holdfast_agents.embedded() as client:
        record = await client.storage.save({"title": "Water the kelp"})
        print(record.id, record["title"])

asyncio.run(main())
"""
    assert _run_away(installed, program) == "1 Water the kelp"


_MIGRATE = """
from holdfast_agents.cli import main
assert main.__globals__["__file__"].startswith(installed)
sys.argv = ["holdfast", "migrate", "--backend", {url!r}]
main()
"""


def test_the_migrations_are_inside_for_sqlite(installed: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'wheel.db'}"
    assert "migrated from nothing" in _run_away(installed, _MIGRATE.format(url=url))
    assert "nothing to do" in _run_away(installed, _MIGRATE.format(url=url))


@pytest.mark.postgres
def test_the_migrations_are_inside_for_postgres(installed: Path, fresh_postgres_url: str) -> None:
    program = _MIGRATE.format(url=fresh_postgres_url)
    assert "migrated from nothing" in _run_away(installed, program)
    assert "nothing to do" in _run_away(installed, program)


_DRIVERS = ("sqlalchemy", "asyncpg", "aiosqlite", "alembic", "redis")
_SERVER = ("typer", "pydantic_settings", "rich", "stamina", "structlog", "uvloop")


def test_a_client_needs_neither_a_driver_nor_what_the_server_needs(installed: Path) -> None:
    program = """
import holdfast_protocol
client = holdfast_protocol.AgentClient("amqp://127.0.0.1/", sender="light")
assert holdfast_protocol.__file__.startswith(installed)
"""
    _run_away(installed, program, *_DRIVERS, *_SERVER, "holdfast_backends", "holdfast_agents")


def test_the_backends_import_without_any_driver_and_memory_works(installed: Path) -> None:
    program = """
import asyncio, holdfast_backends
print(asyncio.run(holdfast_backends.InMemoryBackend().save({"a": 1})))
"""
    printed = _run_away(installed, program, *_DRIVERS, *_SERVER, "aio_pika", "holdfast_protocol")
    assert printed == "{'id': 1, 'a': 1}"


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [("sqlite", "aiosqlite"), ("postgresql", "asyncpg"), ("redis", "redis"), ("rediss", "redis")],
)
def test_a_backend_without_its_driver_says_what_to_install(
    installed: Path, scheme: str, driver: str
) -> None:
    program = f"""
from holdfast_backends import InvalidValueError
from holdfast_backends.opening import open_backend
try:
    open_backend("{scheme}://host/name")
except InvalidValueError as error:
    print(error)
"""
    told = _run_away(installed, program, driver)
    assert "pip install 'holdfast[" in told
    extra = told.partition("holdfast[")[2].partition("]")[0]
    assert extra in {"sqlite", "postgres", "redis", "server"}
