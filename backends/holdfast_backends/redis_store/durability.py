"""Whether a Redis keeps what it acknowledged.

Acknowledged writes survive a crash only with the append-only file, flushed before each answer,
also while the file is rewritten; and only if nothing is ever evicted to make room.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from .failures import translated

_LEAST_VERSION = (6, 2)
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting that is not as a primary store needs it.

    Args:
        setting: its name in the server's configuration.
        found: what it is, or "unknown" where the server does not tell.
        wanted: what it must be.
        survivable: whether only a crash of the server loses something by it.
    """

    setting: str
    found: str
    wanted: str
    survivable: bool = True

    @property
    def advice(self) -> str:
        """One sentence that says what to do."""
        if self.found == _UNKNOWN:
            return f"the server does not tell whether {self.setting} is {self.wanted}"
        return f"set {self.setting} to {self.wanted} (it is {self.found})"


async def server_version(client: "Redis") -> tuple[int, int]:
    """Major and minor version of the server.

    Raises:
        StorageError: the server cannot be asked.
    """
    with translated():
        text = str((await _info(client, "server")).get("redis_version", ""))
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


def is_supported(version: tuple[int, int]) -> bool:
    """Whether this version has all that is needed."""
    return version >= _LEAST_VERSION


async def check_durability(client: "Redis") -> list[Finding]:
    """What of the server's configuration may lose acknowledged writes; nothing is good.

    Where CONFIG is forbidden, as on managed servers, INFO tells most of it; what neither tells
    is a finding.

    Raises:
        StorageError: the server cannot be asked.
    """
    with translated():
        known = await _configuration(client)
    findings = [
        _finding(known, "appendonly", "yes"),
        _finding(known, "appendfsync", "always"),
        _finding(known, "no-appendfsync-on-rewrite", "no"),
    ]
    if known.get("maxmemory") != "0":
        findings.append(_finding(known, "maxmemory-policy", "noeviction", survivable=False))
    return [finding for finding in findings if finding is not None]


def _finding(
    known: Mapping[str, str], setting: str, wanted: str, *, survivable: bool = True
) -> Finding | None:
    found = known.get(setting, _UNKNOWN)
    return None if found == wanted else Finding(setting, found, wanted, survivable)


async def _configuration(client: "Redis") -> dict[str, str]:
    known = await _from_info(client)
    for pattern in ("append*", "no-appendfsync-on-rewrite", "maxmemory*"):
        try:
            answer = await client.config_get(pattern)
        except NoPermissionError:
            return known
        except ResponseError as error:
            if "unknown command" in str(error).lower():
                return known
            raise
        known |= {str(name): str(value) for name, value in _texts(answer).items()}
    return known


async def _from_info(client: "Redis") -> dict[str, str]:
    persistence, memory = await _info(client, "persistence"), await _info(client, "memory")
    known = {}
    if "aof_enabled" in persistence:
        known["appendonly"] = "yes" if str(persistence["aof_enabled"]) == "1" else "no"
    for name, field in (("maxmemory", "maxmemory"), ("maxmemory-policy", "maxmemory_policy")):
        if field in memory:
            known[name] = str(memory[field])
    return known


async def _info(client: "Redis", section: str) -> Mapping[str, object]:
    return cast(Mapping[str, object], await client.info(section))


def _texts(answer: object) -> dict[str, str]:
    pairs = cast(Mapping[str | bytes, str | bytes], answer)
    return {_text(name): _text(value) for name, value in pairs.items()}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
