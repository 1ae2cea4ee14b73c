"""One round trip in each server's own protocol: does the right kind of server answer?

A TLS URL (amqps, rediss) is probed by connecting only.
"""

import base64
import json
import socket
import struct
import urllib.error
import urllib.request
from urllib.parse import SplitResult, unquote, urlsplit

from .model import ServiceError

TIMEOUT = 5.0  # seconds, for one probe


def amqp(url: str) -> None:
    """The broker opens the AMQP 0-9-1 handshake. Raises OSError, ServiceError."""
    parts = urlsplit(url)
    with _connect(parts, 5671 if parts.scheme == "amqps" else 5672) as connection:
        if parts.scheme == "amqps":
            return
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        if connection.recv(1) != b"\x01":  # a method frame: Connection.Start
            raise ServiceError("the server there does not speak AMQP 0-9-1")


def rabbitmq_api(url: str) -> None:
    """The management API accepts the account in `url`. Raises OSError, ServiceError."""
    parts = urlsplit(url)
    account = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    request = urllib.request.Request(
        f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}/api/whoami",
        headers={"Authorization": "Basic " + base64.b64encode(account.encode()).decode()},
    )
    # A proxy of the environment has no business between two programs of one machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            tags = json.load(response).get("tags", [])
    except urllib.error.HTTPError as error:
        raise ServiceError(f"the management API answers {error.code} {error.reason}") from error
    if "administrator" not in tags:
        raise ServiceError("the account is no administrator, so tests can't create vhosts")


def postgres(url: str) -> None:
    """The server is past recovery and asks for the password. Raises OSError, ServiceError."""
    parts = urlsplit(url)
    user = unquote(parts.username or "postgres")
    database = unquote(parts.path.lstrip("/")) or user
    fields = f"user\0{user}\0database\0{database}\0\0".encode()
    with _connect(parts, 5432) as connection:
        connection.sendall(struct.pack("!ii", len(fields) + 8, 196608) + fields)
        reply = connection.recv(4096)
    if reply.startswith(b"E"):
        # A refusal of an unencrypted connection (28000) still is an answer of a ready server.
        if b"C28000\0" not in reply:
            message = reply.partition(b"\0M")[2].partition(b"\0")[0].decode(errors="replace")
            raise ServiceError(f"the server says: {message}")
    elif not reply.startswith(b"R"):
        raise ServiceError("the server there does not speak the PostgreSQL protocol")


def redis(url: str) -> None:
    """The server accepts the account and answers PING. Raises OSError, ServiceError."""
    parts = urlsplit(url)
    with _connect(parts, 6379) as connection:
        if parts.scheme == "rediss":
            return
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            _expect(_redis_command(connection, "AUTH", *user, unquote(parts.password)), "+OK")
        _expect(_redis_command(connection, "PING"), "+PONG")


def _connect(parts: SplitResult, default_port: int) -> socket.socket:
    address = (parts.hostname or "localhost", parts.port or default_port)
    return socket.create_connection(address, timeout=TIMEOUT)


def _redis_command(connection: socket.socket, *words: str) -> str:
    encoded = [word.encode() for word in words]
    frame = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    connection.sendall(b"*%d\r\n" % len(encoded) + frame)
    return connection.recv(4096).decode(errors="replace").strip()


def _expect(reply: str, wanted: str) -> None:
    if reply != wanted:
        raise ServiceError(f"the server says: {reply}")
