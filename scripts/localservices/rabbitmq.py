"""A private RabbitMQ with its own node name, data, cookie and epmd, all on loopback."""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import packages, probes
from .model import ACCOUNT, LOOPBACK, Record, Service, ServiceError
from .processes import is_running, spawn

# Debian's wrapper on the PATH switches to a system user; the scripts behind it do not.
_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
_NODE = "holdfast@localhost"  # never the machine's own name, which need not resolve
_ERLANG_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"


class RabbitMQ(Service):
    """See model.Service."""

    name = "rabbitmq"
    url_variable = "HOLDFAST_TEST_AMQP_URL"
    api_variable = "HOLDFAST_TEST_RABBITMQ_API_URL"
    port_names = ("amqp", "api", "epmd", "distribution")
    packages = ("rabbitmq-server",)
    start_timeout = 120.0

    def installed(self) -> bool:
        """Whether the broker and Erlang's name server are on this machine."""
        return _script("rabbitmq-server") is not None and _epmd() is not None

    def start(self, record: Record, home: Path) -> None:
        """Start epmd unless ours runs, then the broker."""
        server, epmd = _script("rabbitmq-server"), _epmd()
        if server is None or epmd is None:
            raise ServiceError("rabbitmq-server or epmd is missing")
        home.mkdir(mode=0o700, exist_ok=True)
        record.data = str(home / "mnesia")
        _write_configuration(record, home)
        env = _environment(record, home)
        # Started by us and not by the broker: only so do we know its pid and can stop it.
        if "epmd" not in record.processes or not is_running(record.processes["epmd"]):
            port = str(record.ports["epmd"])
            record.processes["epmd"] = spawn(
                [epmd, "-address", LOOPBACK, "-port", port], log=home / "epmd.log", env=env
            )
        record.processes["rabbitmq"] = spawn([server], log=home / "log", env=env)

    def stop_signals(self) -> Mapping[str, int]:
        """SIGTERM stops the broker cleanly; epmd goes last."""
        return {"rabbitmq": signal.SIGTERM, "epmd": signal.SIGTERM}

    def urls(self, record: Record) -> dict[str, str]:
        """The default vhost over AMQP, and the management API."""
        account = f"{ACCOUNT}:{record.password}@{LOOPBACK}"
        return {
            self.url_variable: f"amqp://{account}:{record.ports['amqp']}/",
            self.api_variable: f"http://{account}:{record.ports['api']}",
        }

    def probe(self, urls: Mapping[str, str]) -> None:
        """Both listeners answer, and the account may create vhosts."""
        probes.amqp(urls[self.url_variable])
        if self.api_variable in urls:
            probes.rabbitmq_api(urls[self.api_variable])

    def control(self, record: Record, home: Path, arguments: Sequence[str]) -> int:
        """Replace this process by rabbitmqctl on the private node. Raises ServiceError."""
        command, environment = self.control_command(record, home, arguments)
        os.execve(command[0], command, environment)

    def control_command(
        self, record: Record, home: Path, arguments: Sequence[str]
    ) -> tuple[list[str], dict[str, str]]:
        """The command that runs rabbitmqctl on the private node, and its environment.

        Raises ServiceError.
        """
        script = _script("rabbitmqctl")
        if record.mode != "private" or script is None:
            raise ServiceError("rabbitmqctl works on a private instance only")
        return [str(script), "--node", _NODE, *arguments], _environment(record, home)


def _script(name: str) -> Path | None:
    return packages.find(name, _SCRIPTS)


def _epmd() -> Path | None:
    return packages.find("epmd", *sorted(Path("/usr/lib/erlang").glob("erts-*/bin")))


def _write_configuration(record: Record, home: Path) -> None:
    config = home / "rabbitmq.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"listeners.tcp.local = {LOOPBACK}:{record.ports['amqp']}\n"
        f"management.tcp.ip = {LOOPBACK}\n"
        f"management.tcp.port = {record.ports['api']}\n"
        f"default_user = {ACCOUNT}\n"
        f"default_pass = {record.password}\n"
        "default_user_tags.administrator = true\n"
        # Tests read queue lengths from the API, which shows them as of the last collection.
        "collect_statistics_interval = 1000\n"
        # The default of the broker would block publishers on a small development disk.
        "disk_free_limit.absolute = 200MB\n"
        "log.file = false\n"
        "log.console = true\n"
        "log.console.level = info\n"
    )
    (home / "enabled_plugins").write_text("[rabbitmq_management].\n")
    (home / "rabbitmq-env.conf").write_text("")  # instead of the machine's own
    cookie = home / ".erlang.cookie"
    if not cookie.exists():
        cookie.touch(mode=0o600)
        cookie.write_text(os.urandom(24).hex())
        cookie.chmod(0o400)


def _environment(record: Record, home: Path) -> dict[str, str]:
    """The environment of the node and of its tools, free of what the caller's may hold."""
    foreign = ("RABBITMQ_", "ERL_", "HOLDFAST_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    erlang = shutil.which("erl")
    return inherited | {
        "HOME": str(home),
        "PATH": os.pathsep.join(
            [str(Path(erlang).parent) if erlang else "/usr/bin", inherited.get("PATH", os.defpath)]
        ),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(record.ports["epmd"]),
        "RABBITMQ_NODENAME": _NODE,
        "RABBITMQ_DIST_PORT": str(record.ports["distribution"]),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "logs"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_LOOPBACK,
        "RABBITMQ_CTL_ERL_ARGS": _ERLANG_LOOPBACK,
        # Makes the start script exec the broker, so that the pid we record is the broker's.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
