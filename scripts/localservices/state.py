"""The directory of state, `.services/`: the lock, the records, the pid files and the file `env`."""

import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from .model import Process, Record


class State:
    """Everything that one run of the command leaves for the next."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env_file = directory / "env"
        self.records: dict[str, Record] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory alone, with the records loaded: two runs never interleave."""
        # Open to other users for passing through: PostgreSQL may have to run as one of them.
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.load()
            yield

    def load(self) -> None:
        """Read the records; a directory that was never used has none."""
        path = self.directory / "state.json"
        raw = json.loads(path.read_text()) if path.exists() else {}
        self.records = {name: _record(fields) for name, fields in raw.items()}

    def save(self) -> None:
        """Write the records and one `<process>.pid` per process that we started."""
        raw = {name: asdict(record) for name, record in self.records.items()}
        _write_private(self.directory / "state.json", json.dumps(raw, indent=2) + "\n")
        pids = {
            f"{name}.pid": process.pid
            for record in self.records.values()
            for name, process in record.processes.items()
        }
        for stale in self.directory.glob("*.pid"):
            if stale.name not in pids:
                stale.unlink()
        for name, pid in pids.items():
            (self.directory / name).write_text(f"{pid}\n")

    def write_env(self, urls: Mapping[str, str]) -> None:
        """Write the URLs as shell assignments, readable by the owner only."""
        lines = [f"{name}={shlex.quote(url)}\n" for name, url in urls.items()]
        _write_private(self.env_file, "".join(lines))

    def read_env(self) -> dict[str, str]:
        """The URLs that the last `up` wrote; empty when there was none."""
        if not self.env_file.exists():
            return {}
        pairs = (word.partition("=") for word in shlex.split(self.env_file.read_text()))
        return {name: url for name, _, url in pairs}


def _record(fields: dict[str, object]) -> Record:
    record = Record(**fields)  # type: ignore[arg-type]
    raw: dict[str, dict[str, object]] = record.processes  # type: ignore[assignment]
    record.processes = {
        name: Process(pid=int(str(process["pid"])), identity=str(process["identity"]))
        for name, process in raw.items()
    }
    return record


def _write_private(path: Path, text: str) -> None:
    """Replace `path` in one step; the file is never readable by others, not even briefly."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
