"""The doctor's look at the store: reachable, its schema known, and what it guarantees."""

from pathlib import Path
from typing import Final

from holdfast_agents.settings import Settings
from holdfast_backends import (
    Backend,
    SchemaError,
    StorageError,
    UnavailableError,
    UnsafeStoreError,
)
from holdfast_backends.opening import open_backend

from .common import scheme_of
from .doctor_findings import Finding, Level
from .options import backend_options

_SUBJECT: Final = "backend"
_REDIS: Final = tuple(
    f"{name}{way}" for name in ("redis", "rediss") for way in ("", "+sentinel", "+cluster")
)


async def examine_store(settings: Settings) -> list[Finding]:
    """Open the store as the service would, and see what it says."""
    url = settings.backend.get_secret_value()
    kind = scheme_of(url)
    if kind == "sqlite" and not _exists(url):
        text = "sqlite: there is no file yet; `holdfast serve` will create it"
        return [Finding(Level.OK, _SUBJECT, text)]
    try:
        async with open_backend(url, backend_options(settings)) as backend:
            return [_opened(kind, backend), *_guarantees(kind, backend)]
    except SchemaError as error:
        return [Finding(Level.FAIL, "schema", f"{kind}: {error.message}")]
    except UnsafeStoreError as error:
        text, advice = f"{kind}: {error.message}", "change the server's configuration"
        return [Finding(Level.FAIL, "durability", text, advice)]
    except UnavailableError as error:
        advice = "is it running, and do host, port and password in HOLDFAST_BACKEND hold?"
        return [Finding(Level.FAIL, _SUBJECT, f"{kind}: {error.message}", advice)]
    except StorageError as error:
        return [Finding(Level.FAIL, _SUBJECT, f"{kind}: {error.message}")]


def _exists(url: str) -> bool:
    from holdfast_backends.sql.engines import is_in_memory, sqlite_url

    parsed = sqlite_url(url)
    return is_in_memory(parsed) or Path(parsed.database or "").exists()


def _opened(kind: str, backend: Backend) -> Finding:
    known = "its layout is known" if kind in _REDIS else "its schema is this version's"
    shared = "several processes may share it" if backend.capabilities.shared else "one process only"
    return Finding(Level.OK, _SUBJECT, f"{kind}: reachable, {known}; {shared}")


def _guarantees(kind: str, backend: Backend) -> list[Finding]:
    can = backend.capabilities
    if can.crash_safe:
        where = "the disks of two machines" if can.survives_failover else "the disk of one machine"
        return [Finding(Level.OK, "durability", f"what is acknowledged was flushed to {where}")]
    if can.durable:
        text = "a crash of the machine may lose acknowledged writes"
        advice = "set appendfsync to always" if kind in _REDIS else "see the server's settings"
        return [Finding(Level.WARN, "durability", text, advice)]
    text = "everything is lost when the process ends"
    return [Finding(Level.WARN, "durability", text, "use sqlite://, postgresql:// or redis://")]
