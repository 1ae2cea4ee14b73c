"""The same servers from docker-compose.yml, where a Docker engine answers."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .model import Record, ServiceError

_ENGINE_TIMEOUT = 10  # seconds until an engine that does not answer counts as absent
_UP_TIMEOUT = 600  # seconds for pulling the images and the health checks

# Service → port name of ours → variable in docker-compose.yml.
_PORTS = {
    "rabbitmq": {"amqp": "HOLDFAST_AMQP_PORT", "api": "HOLDFAST_RABBITMQ_API_PORT"},
    "postgres": {"postgres": "HOLDFAST_POSTGRES_PORT"},
    "redis": {"redis": "HOLDFAST_REDIS_PORT"},
}


def available() -> bool:
    """Whether `docker compose` is installed and an engine answers in time."""
    return all(_succeeds(["docker", *words]) for words in (["compose", "version"], ["info"]))


def up(checkout: Path, records: Mapping[str, Record]) -> None:
    """Start the named services and wait until they are healthy. Raises ServiceError."""
    command = ["up", "--detach", "--wait", *records]
    _compose(checkout, records, command, _UP_TIMEOUT)


def down(checkout: Path, records: Mapping[str, Record], *, crash: bool) -> None:
    """Remove the containers, keep the data. Raises ServiceError."""
    if crash:
        _compose(checkout, records, ["kill", *records], 60)
    _compose(checkout, records, ["rm", "--stop", "--force", *records], 60)


def purge(checkout: Path) -> None:
    """Remove containers and data. Raises ServiceError."""
    _compose(checkout, {}, ["down", "--volumes"], 60)


def _compose(
    checkout: Path, records: Mapping[str, Record], words: list[str], timeout: float
) -> None:
    project = "holdfast-test-" + hashlib.sha256(str(checkout).encode()).hexdigest()[:8]
    command = ["docker", "compose", "--project-name", project]
    command += ["--project-directory", str(checkout), *words]
    try:
        done = subprocess.run(
            command,
            env=os.environ | _variables(records),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"{' '.join(command)} took over {timeout:.0f} s") from error
    if done.returncode != 0:
        raise ServiceError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")


def _variables(records: Mapping[str, Record]) -> dict[str, str]:
    variables = {}
    for name, record in records.items():
        variables[f"HOLDFAST_{name.upper()}_PASSWORD"] = record.password
        for port, variable in _PORTS[name].items():
            variables[variable] = str(record.ports[port])
    return variables


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_ENGINE_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
