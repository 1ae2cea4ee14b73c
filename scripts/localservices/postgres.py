"""A private PostgreSQL: durable, on loopback only, run by an ordinary user even for root."""

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import packages, probes
from .model import ACCOUNT, LOOPBACK, Record, Service, ServiceError
from .processes import spawn

# Text sorts by language here, as on many production servers and unlike in the contract: a
# query that forgets COLLATE "C" then fails a test instead of passing by luck.
_LANGUAGE_ORDER = ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8")
_BYTE_ORDER = ("--locale=C",)  # for servers before 15 or built without ICU


class Postgres(Service):
    """See model.Service."""

    name = "postgres"
    url_variable = "HOLDFAST_TEST_POSTGRES_URL"
    port_names = ("postgres",)
    packages = ("postgresql",)
    start_timeout = 60.0

    def installed(self) -> bool:
        """Whether postgres and initdb are on this machine."""
        return binary("postgres") is not None and binary("initdb") is not None

    def start(self, record: Record, home: Path) -> None:
        """Create the cluster when there is none, and start it."""
        postgres, initdb = binary("postgres"), binary("initdb")
        if postgres is None or initdb is None:
            raise ServiceError("postgres or initdb is missing")
        user = unprivileged_user()
        home.mkdir(mode=0o711, exist_ok=True)
        if not record.data or not (Path(record.data) / "PG_VERSION").exists():
            record.data = str(_data_directory(home, user))
            _create_cluster(initdb, Path(record.data), record.password, user)
        settings = {
            "listen_addresses": LOOPBACK,
            "port": record.ports["postgres"],
            "unix_socket_directories": "",
            "max_connections": 100,
            "fsync": "on",
            "synchronous_commit": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        record.processes["postgres"] = spawn(
            [postgres, "-D", record.data, *options], log=home / "log", user=user
        )

    def stop_signals(self) -> Mapping[str, int]:
        """SIGINT is the fast shutdown: roll back, checkpoint, exit."""
        return {"postgres": signal.SIGINT}

    def urls(self, record: Record) -> dict[str, str]:
        """The URL of the maintenance database, for tests to create their own from."""
        address = f"{LOOPBACK}:{record.ports['postgres']}"
        return {self.url_variable: f"postgresql://{ACCOUNT}:{record.password}@{address}/postgres"}

    def probe(self, urls: Mapping[str, str]) -> None:
        """The server asks for a password."""
        probes.postgres(urls[self.url_variable])


def binary(program: str) -> Path | None:
    """A program of the server. Debian keeps them out of the PATH, one directory per version."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    return packages.find(program, *reversed(versions))


def unprivileged_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as; None for the caller. It refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServiceError("PostgreSQL refuses to run as root, and no other user exists here")


def _data_directory(home: Path, user: pwd.struct_passwd | None) -> Path:
    """A directory that belongs to `user`: in `home`, or elsewhere when `user` can't get there."""
    data = home / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    if user is None:
        return data
    os.chown(data, user.pw_uid, user.pw_gid)
    if run_as(user, ["test", "-w", str(data)]).returncode == 0:
        return data
    data.rmdir()
    data = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))
    os.chown(data, user.pw_uid, user.pw_gid)
    return data


def _create_cluster(
    initdb: Path, data: Path, password: str, user: pwd.struct_passwd | None
) -> None:
    """Run initdb with password authentication for every connection."""
    with tempfile.NamedTemporaryFile("w", prefix="holdfast-") as secret:
        secret.write(password)
        secret.flush()
        if user is not None:
            os.chown(secret.name, user.pw_uid, user.pw_gid)
        common = [str(initdb), "-D", str(data), "--username", ACCOUNT, "--encoding=UTF8"]
        common += ["--auth=scram-sha-256", f"--pwfile={secret.name}"]
        for locale in (_LANGUAGE_ORDER, _BYTE_ORDER):
            # initdb removes what it created when it fails: the second try finds a clean place.
            done = run_as(user, [*common, *locale])
            if done.returncode == 0:
                return
    raise ServiceError(f"initdb failed:\n{done.stdout[-2000:]}")


def run_as(
    user: pwd.struct_passwd | None, command: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run a program of the server to its end, as whom the server runs as."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd="/",
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )
