"""Decides where each service comes from, brings it up, tells about it and takes it down."""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from . import compose, packages
from .model import Mode, Record, Service, ServiceError
from .postgres import Postgres
from .processes import free_ports, is_free, is_running, stop
from .rabbitmq import RabbitMQ
from .redis import Redis
from .state import State

RABBITMQ = RabbitMQ()
_ALL: tuple[Service, ...] = (RABBITMQ, Postgres(), Redis())
SERVICES = {service.name: service for service in _ALL}
_STOP_TIMEOUT = 30.0  # seconds for a clean stop, before SIGKILL
_RETRY_WINDOW = 10.0  # seconds in which a server that ends at its start is started again
_RETRY_PAUSE = 0.3  # seconds


class Manager:
    """The verbs of the command, on one directory of state.

    `private` means: start the binaries, whatever the environment or Docker offers.
    """

    def __init__(
        self, checkout: Path, directory: Path, say: Callable[[str], None], *, private: bool
    ) -> None:
        self._checkout = checkout
        self._state = State(directory)
        self._say = say
        self._private = private

    def up(self, names: Iterable[str]) -> None:
        """Have every named service answer; write the file `env`. Raises ServiceError.

        Programs that only some tests need are installed where that can be done.
        """
        with self._state.locked():
            if not self._private:
                packages.install_tools(self._say)
            missing = [name for name in names if not self._in_use(name)]
            if missing and not self._private and compose.available():
                self._start_in_compose(missing)
            elif missing:
                self._start_privately(missing)
            self._state.write_env(self._urls())

    def down(self, names: Iterable[str], *, crash: bool = False) -> None:
        """Stop what `up` started, nothing else; the data stays.

        `crash` sends SIGKILL at once, for tests of recovery.
        """
        with self._state.locked():
            for name in names:
                record = self._state.records.get(name)
                if record is None or record.mode == "external":
                    continue
                if record.mode == "compose":
                    compose.down(self._checkout, {name: record}, crash=crash)
                    self._say(f"{name}: container removed")
                else:
                    self._stop_processes(name, record, crash=crash)
                self._state.save()

    def purge(self) -> None:
        """Stop everything and remove its data."""
        self.down(SERVICES)
        with self._state.locked():
            if any(record.mode == "compose" for record in self._state.records.values()):
                compose.purge(self._checkout)
            for record in self._state.records.values():
                if record.mode == "private" and record.data:
                    shutil.rmtree(record.data, ignore_errors=True)
        shutil.rmtree(self._state.directory)
        self._say(f"removed {self._state.directory.name} and the data of the private servers")

    def status(self) -> dict[str, str]:
        """Service → one line about it; the line starts with "up" when it answers."""
        self._state.load()
        return {name: self._describe(name) for name in SERVICES}

    def env(self) -> dict[str, str]:
        """The URLs that the last `up` wrote. Raises ServiceError when there are none."""
        urls = self._state.read_env()
        if not urls:
            raise ServiceError("there is no .services/env yet; run: scripts/services up")
        return urls

    def rabbitmqctl(self, arguments: list[str]) -> int:
        """Run rabbitmqctl on the private broker; returns only by ServiceError."""
        self._state.load()
        record = self._state.records.get(RABBITMQ.name)
        if record is None:
            raise ServiceError("RabbitMQ is not up; run: scripts/services up rabbitmq")
        return RABBITMQ.control(record, self._home(RABBITMQ.name), arguments)

    def _in_use(self, name: str) -> bool:
        """Whether `name` needs no start: the caller gave its URL, or ours already answers."""
        service = SERVICES[name]
        record = self._state.records.get(name)
        given = None if self._private else os.environ.get(service.url_variable)
        if given and given not in self._state.read_env().values():
            self._use_external(service, given)
            return True
        if record is None:
            return False
        if record.mode == "external":
            if given:
                self._use_external(service, given)
                return True
            del self._state.records[name]
            return False
        is_up = self._answers_in_the_end(service, record)
        if is_up:
            self._say(f"{name}: already up ({_address(service.urls(record))})")
        return is_up

    def _answers_in_the_end(self, service: Service, record: Record) -> bool:
        """Whether it answers now, or as soon as it has recovered: to stop a server that is busy
        with that makes it take longer."""
        began = time.monotonic()
        while _problem(service, service.urls(record)) is not None:
            waited = time.monotonic() - began
            running = record.processes and all(map(is_running, record.processes.values()))
            if not running or waited > service.start_timeout:
                return False
            time.sleep(_RETRY_PAUSE)
        return True

    def _use_external(self, service: Service, url: str) -> None:
        urls = {service.url_variable: url}
        api = os.environ.get(RABBITMQ.api_variable)
        if api and service.name == RABBITMQ.name:
            urls[RABBITMQ.api_variable] = api
        problem = _problem(service, urls)
        if problem is not None:
            raise ServiceError(f"{service.url_variable} is set, but unreachable: {problem}")
        self._state.records[service.name] = Record("external", external=urls)
        self._state.save()
        self._say(f"{service.name}: using {service.url_variable} ({_address(urls)})")

    def _start_in_compose(self, names: list[str]) -> None:
        records = {}
        for name in names:
            records[name] = self._state.records[name] = self._prepared(name, "compose")
        self._state.save()
        self._say(f"starting {', '.join(names)} with Docker Compose")
        compose.up(self._checkout, records)
        for name in names:
            self._wait_until_ready(name)

    def _start_privately(self, names: list[str]) -> None:
        absent = [SERVICES[name] for name in names if not SERVICES[name].installed()]
        packages.install([name for service in absent for name in service.packages], self._say)
        for name in names:
            record = self._state.records[name] = self._prepared(name, "private")
            self._say(f"{name}: starting a private instance")
            self._start_one(name, record)
        for name in names:
            self._wait_until_ready(name)

    def _start_one(self, name: str, record: Record) -> None:
        try:
            SERVICES[name].start(record, self._home(name))
        finally:
            self._state.save()

    def _prepared(self, name: str, mode: Mode) -> Record:
        """The record to start from: the last one's password and ports where they still fit."""
        known = self._state.records.get(name)
        if known is None or known.mode != mode:
            known = Record(mode, secrets.token_hex(16))
        self._stop_processes(name, known, crash=False)
        wanted = SERVICES[name].port_names
        if set(known.ports) != set(wanted) or not all(map(is_free, known.ports.values())):
            known.ports = free_ports(wanted)
        return known

    def _wait_until_ready(self, name: str) -> None:
        service, record = SERVICES[name], self._state.records[name]
        began = time.monotonic()
        while (problem := _problem(service, service.urls(record))) is not None:
            waited = time.monotonic() - began
            if waited > service.start_timeout:
                raise ServiceError(f"{name} does not answer after {waited:.0f} s: {problem}")
            if not all(map(is_running, record.processes.values())):
                # After a crash PostgreSQL refuses to start until the kernel has cleared away
                # the last of the former server.
                if waited > _RETRY_WINDOW:
                    raise ServiceError(f"{name} ended at its start:\n{self._last_lines(name)}")
                time.sleep(_RETRY_PAUSE)
                self._start_one(name, record)
            time.sleep(0.1)
        self._say(f"{name}: up ({_address(service.urls(record))})")

    def _stop_processes(self, name: str, record: Record, *, crash: bool) -> None:
        for process_name, number in SERVICES[name].stop_signals().items():
            process = record.processes.pop(process_name, None)
            chosen = signal.SIGKILL if crash else number
            if process is not None and stop(process, chosen, _STOP_TIMEOUT):
                self._say(f"{name}: stopped {process_name} (pid {process.pid})")

    def _urls(self) -> dict[str, str]:
        urls: dict[str, str] = {}
        for name, record in self._state.records.items():
            external = record.mode == "external"
            urls |= record.external if external else SERVICES[name].urls(record)
        return urls

    def _describe(self, name: str) -> str:
        record = self._state.records.get(name)
        if record is None:
            return "down"
        service = SERVICES[name]
        urls = record.external if record.mode == "external" else service.urls(record)
        problem = _problem(service, urls)
        pids = ", ".join(f"{key} pid {item.pid}" for key, item in record.processes.items())
        where = f"{record.mode} at {_address(urls)}" + (f", {pids}" if pids else "")
        return f"up    {where}" if problem is None else f"down  {where}: {problem}"

    def _home(self, name: str) -> Path:
        return self._state.directory / name

    def _last_lines(self, name: str) -> str:
        log = self._home(name) / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _problem(service: Service, urls: Mapping[str, str]) -> str | None:
    try:
        service.probe(urls)
    except (OSError, ServiceError, ValueError) as error:
        return str(error)
    return None


def _address(urls: Mapping[str, str]) -> str:
    """The hosts and ports of `urls`, without the passwords."""
    return ", ".join(url.rpartition("@")[2].rstrip("/") for url in urls.values())
