"""Three RabbitMQ nodes on loopback, joined to one cluster, to be killed one by one."""

import asyncio
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from localservices import packages, probes
from localservices.model import ACCOUNT, LOOPBACK, ServiceError
from localservices.processes import free_ports

# Debian's wrapper on the PATH switches to a system user; the scripts behind it do not.
_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"
# One scheduler each, and none that spins while it waits: three nodes share two cores with all
# that they serve.
_SMALL = "+S 1:1 +SDcpu 1:1 +SDio 2 +sbwt none +sbwtdcpu none +sbwtdio none"
_START = 120.0  # seconds: a bound; nodes start slowly on a busy machine
_CALL = 30.0


def installed() -> bool:
    """Whether the broker, Erlang's name server and its caller are on this machine."""
    return None not in (_server(), _erlang("epmd"), _erlang("erl_call"))


class Node:
    """One node: `up`, `kill` and `up` again keep its name, ports and data."""

    def __init__(self, name: str, home: Path, password: str, epmd_port: int) -> None:
        self.name = f"{name}@localhost"  # never the machine's own name, which need not resolve
        self.port = free_ports(["amqp"])["amqp"]
        self._home = home
        self._password = password
        self._epmd_port = epmd_port
        self._distribution = free_ports(["distribution"])["distribution"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of this node alone."""
        return f"amqp://{ACCOUNT}:{self._password}@{LOOPBACK}:{self.port}/"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def prepare(self, cookie: str, names: Sequence[str]) -> None:
        """Write its configuration; once."""
        self._home.mkdir(parents=True)
        (self._home / "rabbitmq.conf").write_text(self._configuration(names))
        (self._home / "enabled_plugins").write_text("[].\n")
        (self._home / "rabbitmq-env.conf").write_text("")  # instead of the machine's own
        cookie_file = self._home / ".erlang.cookie"
        cookie_file.write_text(cookie)
        cookie_file.chmod(0o400)

    def launch(self) -> None:
        """Start its process; `answers` tells when it serves."""
        server = _server()
        if server is None:
            raise ServiceError("rabbitmq-server is missing")
        self._process = _started([server], self._home / "log", self._environment())

    async def answers(self) -> None:
        """Until it takes connections. Raises ServiceError when it ends before, or in no time."""
        deadline = time.monotonic() + _START
        while True:
            try:
                await asyncio.to_thread(probes.amqp, self.url)
            except OSError as error:
                if not self.running or time.monotonic() > deadline:
                    raise ServiceError(f"{self.name} does not start: {self._told()}") from error
                await asyncio.sleep(0.05)
            else:
                return

    async def refuses(self) -> None:
        """Until it takes no connections, though it runs: it is in a minority."""
        async with asyncio.timeout(_START):
            while True:
                try:
                    await asyncio.to_thread(probes.amqp, self.url)
                except OSError:
                    return
                await asyncio.sleep(0.05)

    async def up(self) -> None:
        """Start it again, and wait until it takes connections."""
        self.launch()
        await self.answers()

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            await _ended(self._process)

    async def evaluate(self, expression: str) -> str:
        """What an Erlang expression is in this node, as Erlang writes it."""
        cookie = (self._home / ".erlang.cookie").read_text()
        call = await asyncio.create_subprocess_exec(
            *(_erlang("erl_call") or "erl_call", "-sname", self.name, "-c", cookie, "-e"),
            env=self._environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_CALL):
                said, _ = await call.communicate(f"{expression}.\n".encode())
        finally:
            if call.returncode is None:
                call.kill()
        text = said.decode(errors="replace").strip()
        if call.returncode or not text.startswith("{ok, "):
            raise ServiceError(f"{self.name} does not evaluate {expression}: {text}")
        return text.removeprefix("{ok, ").removesuffix("}")

    def _told(self) -> str:
        log = (self._home / "log").read_text(errors="replace").strip().splitlines()
        return " / ".join(log[-5:])

    def _configuration(self, names: Sequence[str]) -> str:
        joined = "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}\n"
            for number, name in enumerate(names, 1)
        )
        return (
            f"listeners.tcp.local = {LOOPBACK}:{self.port}\n"
            f"default_user = {ACCOUNT}\n"
            f"default_pass = {self._password}\n"
            "cluster_formation.peer_discovery_backend = classic_config\n"
            f"{joined}"
            # What a cluster of three is to be run with: a node that is cut off stops serving.
            "cluster_partition_handling = pause_minority\n"
            "disk_free_limit.absolute = 200MB\n"
            "log.file = false\n"
            "log.console = true\n"
            "log.console.level = info\n"
        )

    def _environment(self) -> dict[str, str]:
        """Free of what the caller's may hold."""
        foreign = ("RABBITMQ_", "ERL_", "HOLDFAST_")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        home = self._home
        return inherited | {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "logs"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_LOOPBACK_ONLY} {_SMALL}",
            "RUNNING_UNDER_SYSTEMD": "true",  # makes the script exec the broker: its pid is ours
        }


class RabbitCluster:
    """Three nodes, and what is where on them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._epmd_port = free_ports(["epmd"])["epmd"]
        self._epmd: subprocess.Popen[bytes] | None = None
        password = secrets.token_hex(12)
        self.nodes = tuple(
            Node(f"holdfast{number}", folder / str(number), password, self._epmd_port)
            for number in (1, 2, 3)
        )

    @property
    def url(self) -> str:
        """Of all nodes."""
        return self.url_of(self.nodes)

    def url_of(self, nodes: Sequence[Node]) -> str:
        """One of several nodes."""
        head, _, _ = nodes[0].url.rpartition("@")
        return head + "@" + ",".join(f"{LOOPBACK}:{node.port}" for node in nodes) + "/"

    async def start(self) -> None:
        """All at once; returns when they have joined and serve. Raises ServiceError."""
        epmd = _erlang("epmd")
        if epmd is None:
            raise ServiceError("epmd is missing")
        self._folder.mkdir(parents=True, exist_ok=True)
        cookie = secrets.token_hex(12)
        names = [node.name for node in self.nodes]
        for node in self.nodes:
            node.prepare(cookie, names)
        # Started by us and not by a node: only so do we know its pid and can stop it.
        address = ("-address", LOOPBACK, "-port", str(self._epmd_port))
        self._epmd = _started([epmd, *address], self._folder / "epmd", os.environ)
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            await node.answers()
        await self.complete()

    async def restore(self) -> None:
        """Start what was killed; returns when all is as it was."""
        for node in self.nodes:
            if not node.running:
                node.launch()
        for node in self.nodes:
            await node.answers()
        await self.complete()

    async def complete(self) -> None:
        """Until every node sees all three running. Raises ServiceError."""
        deadline = time.monotonic() + _START
        for node in self.nodes:
            while (running := await node.evaluate("length(rabbit_nodes:all_running())")) != "3":
                if time.monotonic() > deadline:
                    raise ServiceError(f"{node.name} sees {running} nodes of 3")
                await asyncio.sleep(0.1)

    async def leader(self, queue: str) -> Node:
        """The node that leads a quorum queue or a stream, or has a classic queue, of vhost `/`.

        Raises ServiceError when no node knows it.
        """
        name = f'rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)'
        expression = (
            f"case rabbit_amqqueue:lookup({name}) of {{ok, Q}} -> "
            "case amqqueue:get_pid(Q) of {_, N} -> N; P -> node(P) end; E -> E end"
        )
        asked = next(node for node in self.nodes if node.running)
        answer = (await asked.evaluate(expression)).strip("'")
        for node in self.nodes:
            if node.name == answer:
                return node
        raise ServiceError(f"no node leads {queue}: {answer}")

    async def stop(self) -> None:
        """Kill all of it and remove its data."""
        for node in self.nodes:
            await node.kill()
        if self._epmd is not None:
            await _ended(self._epmd)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


@asynccontextmanager
async def rabbit_cluster(folder: Path) -> AsyncIterator[RabbitCluster]:
    """A cluster that serves, in a folder that is removed afterwards. Raises ServiceError."""
    cluster = RabbitCluster(folder)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


def _started(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=env
        )


async def _ended(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL."""
    process.kill()
    await asyncio.to_thread(process.wait, _CALL)


def _server() -> Path | None:
    return packages.find("rabbitmq-server", _SCRIPTS)


def _erlang(program: str) -> Path | None:
    return packages.find(program, *sorted(Path("/usr/lib/erlang").glob("erts-*/bin")))
