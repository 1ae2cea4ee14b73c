"""`scripts/services`: it stops nothing but its own, hides passwords, and says what is wrong."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from localservices import compose, packages
from localservices.model import Process, Record, ServiceError
from localservices.processes import is_running, recognise, stop
from localservices.state import State

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "services"


@pytest.fixture
def waiting() -> Iterator[Process]:
    """A process that waits until it is stopped."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as started:
        yield recognise(started.pid)
        started.kill()


def test_a_process_of_ours_is_stopped_once(waiting: Process) -> None:
    assert stop(waiting, signal.SIGTERM, timeout=10)
    assert not stop(waiting, signal.SIGTERM, timeout=10)


def test_a_stranger_with_a_reused_pid_is_left_alone(waiting: Process) -> None:
    recorded = Process(waiting.pid, "another start")
    assert not stop(recorded, signal.SIGKILL, timeout=10)
    assert is_running(waiting)


def test_the_state_survives_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    record = Record("private", "secret", {"redis": 6379}, processes={"redis": Process(7, "x")})
    state = State(tmp_path)
    state.records["redis"] = record
    state.save()
    state.write_env({"HOLDFAST_TEST_REDIS_URL": "redis://h/0?a=b&c=$d e"})
    again = State(tmp_path)
    again.load()
    assert again.records == {"redis": record}
    assert again.read_env() == {"HOLDFAST_TEST_REDIS_URL": "redis://h/0?a=b&c=$d e"}
    assert (tmp_path / "redis.pid").read_text() == "7\n"
    for name in ("env", "state.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_without_rights_the_command_to_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServiceError, match=r"sudo apt-get install .* redis-server"):
        packages.install(["redis-server"], print)


def test_two_who_miss_a_package_install_it_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    meeting = threading.Barrier(2)
    met: list[str] = []

    def apt(*_command: str) -> None:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(timeout=0.1)
            met.append("both at once")
        meeting.reset()  # one that nobody came to is broken

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda program: program)
    monkeypatch.setattr(packages, "_apt", apt)
    monkeypatch.setattr(packages, "_POLICY", tmp_path / "policy")
    monkeypatch.setattr(packages, "_DPKG", tmp_path)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: packages.install(["redis-server"], print), range(2)))
    assert met == []


def test_a_tool_that_cannot_be_had_is_told_and_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(packages, "_TOOLS", {"no-such-tool": "no-such-package"})
    said: list[str] = []
    packages.install_tools(said.append)
    assert "no-such-package" in said[0]


def test_an_external_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """A copy of the script in its own checkout: the state of this one is not touched."""
    copy = tmp_path / "scripts"
    copy.mkdir()
    (copy / "services").write_bytes(_SCRIPT.read_bytes())
    (copy / "localservices").symlink_to(_SCRIPT.parent / "localservices")
    done = subprocess.run(
        [sys.executable, copy / "services", "up", "redis"],
        env=os.environ | {"HOLDFAST_TEST_REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "HOLDFAST_TEST_REDIS_URL is set, but unreachable" in done.stderr


def test_compose_gets_the_ports_and_passwords_that_the_urls_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nenv >> {tmp_path}/calls\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert compose.available()
    compose.up(tmp_path, {"postgres": Record("compose", "secret", {"postgres": 15432})})
    calls = (tmp_path / "calls").read_text()
    assert "up --detach --wait postgres" in calls
    assert "HOLDFAST_POSTGRES_PASSWORD=secret" in calls
    assert "HOLDFAST_POSTGRES_PORT=15432" in calls
