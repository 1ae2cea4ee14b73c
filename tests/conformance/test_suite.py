"""The conformance suite as a product: whole, large enough, and usable by a stranger."""

import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from holdfast_backends.testing import cases, durable, suite

STRANGERS_MODULE = """
import pytest
from holdfast_backends import InMemoryBackend
from holdfast_backends.testing.suite import *

@pytest.fixture
def open_backend():
    return lambda clock: InMemoryBackend(clock=clock)
"""


def written_cases() -> set[str]:
    """The names of all test classes in the package of cases."""
    modules = [
        import_module(f"{cases.__name__}.{module.name}")
        for module in pkgutil.iter_modules(cases.__path__)
    ]
    return {
        name
        for module in modules
        for name, member in inspect.getmembers(module, inspect.isclass)
        if name.startswith("Test") and member.__module__ == module.__name__
    }


def test_no_case_is_left_out() -> None:
    exported = {name for name in (*suite.__all__, *durable.__all__) if name.startswith("Test")}
    assert exported == written_cases()


def test_a_stranger_can_run_it(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(STRANGERS_MODULE)
    settings = ["asyncio_mode=strict", "asyncio_default_fixture_loop_scope=function"]
    options = [word for setting in settings for word in ("-o", setting)]
    options += ["-W", "error", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2_000:]
    *_, summary = run.stdout.strip().splitlines()
    passed = int(summary.split()[0])
    assert passed >= 300
    assert "skipped" not in summary
    assert "xfailed" not in summary


@pytest.mark.parametrize("name", ["pytest", "pytest_asyncio", "hypothesis"])
def test_the_backends_need_no_test_tools(name: str) -> None:
    check = f"import holdfast_backends, sys; sys.exit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
