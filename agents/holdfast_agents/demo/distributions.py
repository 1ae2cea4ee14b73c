"""Real documents that every machine has: the metadata of its Python distributions."""

import os
import site
import sys
from collections.abc import Iterable, Iterator
from email.message import Message
from email.parser import Parser
from email.utils import getaddresses
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from holdfast_protocol.codec import compact_json

_LARGEST_DOCUMENT: Final = 1024 * 1024
"""Bytes of a document's compact JSON, at most. Source: the wire contract, section 7."""
_LONGEST_NAME: Final = 100


def installed_documents() -> list[dict[str, JsonValue]]:
    """A document for each distribution of this Python and of others found on the PATH.

    They are sorted by id, `<name>==<version>`. What has no readable metadata is left out.
    """
    found: dict[str, dict[str, JsonValue]] = {}
    places = [str(place) for place in _site_packages()]
    for distribution in distributions(path=places):
        document = _document(distribution)
        if document is not None:
            found.setdefault(str(document["id"]), document)
    return [found[key] for key in sorted(found)]


def _site_packages() -> list[Path]:
    """Where Pythons of this machine keep distributions; each place once."""
    prefixes = {Path(sys.prefix), Path(sys.base_prefix)}
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if entry and any(Path(entry).glob("python3*")):
            prefixes.add(Path(entry).parent)
    places = [*map(Path, sys.path), *map(Path, site.getsitepackages())]
    for prefix in sorted(prefixes):
        for pattern in ("lib*/python3*/site-packages", "lib*/python3*/dist-packages"):
            places.extend(sorted(prefix.glob(pattern)))
    return list(dict.fromkeys(place.resolve() for place in places if place.is_dir()))


def _document(distribution: Distribution) -> dict[str, JsonValue] | None:
    try:
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO")
    except (OSError, UnicodeError):
        return None  # not ours to repair; the others are enough
    if not text:
        return None
    metadata = Parser().parsestr(text)
    name, version = _text(metadata.get("Name")), _text(metadata.get("Version"))
    if not name or not version:
        return None
    identity = f"{name[:_LONGEST_NAME]}=={version[:_LONGEST_NAME]}"
    document: dict[str, JsonValue] = {
        "id": identity,
        "name": name,
        "version": version,
        "summary": _text(metadata.get("Summary")),
        "python": _text(metadata.get("Requires-Python")),
        "license": _text(metadata.get("License-Expression") or metadata.get("License")),
        "classifiers": _texts(metadata.get_all("Classifier", [])),
        "requires": _requires(metadata.get_all("Requires-Dist", [])),
        "authors": _authors(metadata),
        "urls": _urls(metadata.get_all("Project-URL", [])),
        "files": _files(distribution),
    }
    return _with_description(document, metadata)


def _text(value: object) -> str | None:
    """What JSON can carry of a header; None for nothing."""
    if value is None:
        return None
    text = str(value).encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    return text or None


def _texts(values: Iterable[object]) -> list[JsonValue]:
    return [text for value in values if (text := _text(value)) is not None]


def _with_description(
    document: dict[str, JsonValue], metadata: Message
) -> dict[str, JsonValue] | None:
    """The document with its long text, cut until it fits; None where it cannot fit."""
    body = metadata.get_payload()
    full = _text(metadata.get("Description") or (body if isinstance(body, str) else None)) or ""
    kind = _text(metadata.get("Description-Content-Type"))
    text = full
    while True:
        description: dict[str, JsonValue] = {"type": kind, "text": text, "length": len(full)}
        if len(compact_json({**document, "description": description})) <= _LARGEST_DOCUMENT:
            return {**document, "description": description}
        if not text:
            return None
        text = text[: len(text) // 2]


def _requires(values: Iterable[object]) -> list[JsonValue]:
    """`name[extra]>=1; marker` as an object; the name ends where it can't go on."""
    needed: list[JsonValue] = []
    for text in _texts(values):
        requirement, _, marker = str(text).partition(";")
        name = requirement.strip()
        end = next((i for i, c in enumerate(name) if not (c.isalnum() or c in "-_.")), len(name))
        wanted = name[end:].strip() or None
        needed.append({"name": name[:end], "wanted": wanted, "when": marker.strip() or None})
    return needed


def _authors(metadata: Message) -> list[JsonValue]:
    """Names only: the demonstration has no use for anybody's address."""
    names: list[str] = []
    for header in ("Author", "Maintainer"):
        names += [part.strip() for part in str(_text(metadata.get(header)) or "").split(",")]
        pairs = getaddresses(_addresses(metadata, f"{header}-email"))
        names += [name for name, _address in pairs]
    return [{"name": name} for name in dict.fromkeys(names) if name]


def _addresses(metadata: Message, header: str) -> list[str]:
    return [str(text) for text in _texts(metadata.get_all(header, []))]


def _urls(values: Iterable[object]) -> dict[str, JsonValue]:
    pairs = (str(text).partition(",") for text in _texts(values))
    return {
        label.strip().lstrip("$")[:_LONGEST_NAME]: url.strip()
        for label, comma, url in pairs
        if comma
    }


def _files(distribution: Distribution) -> dict[str, JsonValue]:
    """How many files it installed, and how large they are together."""
    try:
        record = distribution.read_text("RECORD") or ""
    except (OSError, UnicodeError):
        record = ""
    sizes = list(_sizes(record.splitlines()))
    return {"count": len(sizes), "bytes": sum(sizes)}


def _sizes(lines: Iterable[str]) -> Iterator[int]:
    for line in lines:
        size = line.rpartition(",")[2]
        yield int(size) if size.isascii() and size.isdigit() else 0
