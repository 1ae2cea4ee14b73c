"""What no response may tell of: the inside of the service, and where its servers are."""

import re
from collections.abc import Iterable

_INSIDES = [
    re.compile(r"(?i)\b(select|insert|update|delete)\b.{0,40}\b(from|into|set|where)\b"),
    re.compile(r"holdfast_(records|messages|collections|backends|agents|protocol)"),
    re.compile(r"(?i)sqlalchemy|asyncpg|aiosqlite|sqlite3|pydantic|orjson|\bredis\b|lua"),
    re.compile(r"\.py\b|\.db\b|site-packages|/tmp/|/home/|/root/|/usr/|Traceback"),
    re.compile(r"\b[A-Z][A-Za-z]+(Error|Exception|Warning)\b"),
    re.compile(r"\b(127\.0\.0\.1|localhost|::1)\b|\b[a-z0-9.-]+:\d{4,5}\b"),
    re.compile(r"(?i)\bpassword\b|://"),
]


def leaks(text: str, secrets: Iterable[str] = ()) -> list[str]:
    """What a response tells of the inside: SQL, paths, classes, addresses, passwords."""
    told = [found[0] for pattern in _INSIDES if (found := pattern.search(text))]
    return told + [secret for secret in secrets if secret in text]
