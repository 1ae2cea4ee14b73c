"""Whether a Redis keeps what it acknowledged.

Acknowledged writes survive a crash only with the append-only file, flushed before each answer,
also while the file is rewritten; and only if nothing is ever evicted to make room.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from redis.exceptions import NoPermissionError, ResponseError

_LEAST_VERSION = (6, 2)
_UNKNOWN = "unknown"

Ask: TypeAlias = Callable[..., Awaitable[object]]
"""Sends the words of a command; its reply as the server gives it."""


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


@dataclass(frozen=True, slots=True)
class Examined:
    """What a server tells of itself.

    Args:
        version: major and minor; (0, 0) where that cannot be read.
        is_master: whether it takes writes.
        findings: what of its configuration may lose acknowledged writes; nothing is good.
    """

    version: tuple[int, int]
    is_master: bool
    findings: tuple[Finding, ...]

    @property
    def is_supported(self) -> bool:
        """Whether this version has all that is needed."""
        return self.version >= _LEAST_VERSION


async def examine(ask: Ask) -> Examined:
    """Ask a server. Where CONFIG is forbidden, as on managed servers, INFO tells most of it; what
    neither tells is a finding.

    Raises:
        RedisError: the server cannot be asked.
    """
    told = _facts(await ask("INFO"))
    known = await _configuration(ask, told)
    findings = [
        _finding(known, "appendonly", "yes"),
        _finding(known, "appendfsync", "always"),
        _finding(known, "no-appendfsync-on-rewrite", "no"),
    ]
    if known.get("maxmemory") != "0":
        findings.append(_finding(known, "maxmemory-policy", "noeviction", survivable=False))
    return Examined(
        version=_version(told.get("redis_version", "")),
        is_master=told.get("role", "master") == "master",
        findings=tuple(finding for finding in findings if finding is not None),
    )


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


def _finding(
    known: Mapping[str, str], setting: str, wanted: str, *, survivable: bool = True
) -> Finding | None:
    found = known.get(setting, _UNKNOWN)
    return None if found == wanted else Finding(setting, found, wanted, survivable)


async def _configuration(ask: Ask, told: Mapping[str, str]) -> dict[str, str]:
    known = _from_info(told)
    for pattern in ("append*", "no-appendfsync-on-rewrite", "maxmemory*"):
        try:
            known |= _pairs(await ask("CONFIG", "GET", pattern))
        except NoPermissionError:
            return known
        except ResponseError as error:
            if "unknown command" in str(error).lower():
                return known
            raise
    return known


def _from_info(told: Mapping[str, str]) -> dict[str, str]:
    known = {}
    if "aof_enabled" in told:
        known["appendonly"] = "yes" if told["aof_enabled"] == "1" else "no"
    for name, field in (("maxmemory", "maxmemory"), ("maxmemory-policy", "maxmemory_policy")):
        if field in told:
            known[name] = told[field]
    return known


def _facts(answer: object) -> dict[str, str]:
    """INFO's lines: `name:value`, and headings."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value for name, separator, value in lines if separator}


def _pairs(answer: object) -> dict[str, str]:
    """CONFIG GET's list: a name, its value, and so on."""
    found = answer if isinstance(answer, Sequence) else ()
    words = [word.decode(errors="replace") for word in found if isinstance(word, bytes)]
    return dict(zip(words[::2], words[1::2], strict=False))
