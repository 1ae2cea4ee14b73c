"""The pages of the project, and what stands in them."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
README = CHECKOUT / "README.md"
WIRE = CHECKOUT / "docs" / "wire.md"
CONTRIBUTING = CHECKOUT / "CONTRIBUTING.md"
PAGES = sorted(
    page
    for folder in ("docs", "examples", "benchmarks", "tests")
    for page in (CHECKOUT / folder).rglob("*.md")
) + sorted(CHECKOUT.glob("*.md"))

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_BRACES = re.compile(r"\{([^{}]*)\}")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [text for found, text in _BLOCK.findall(page.read_text()) if found == language]


def links(page: Path) -> list[str]:
    """The targets of all links."""
    return _LINK.findall(_BLOCK.sub("", page.read_text()))


def code(page: Path) -> list[str]:
    """What stands in backticks, within lines."""
    return _CODE.findall(_BLOCK.sub("", page.read_text()))


def section(page: Path, number: int) -> str:
    """The text of a numbered section."""
    _, _, rest = page.read_text().partition(f"\n## {number}. ")
    return rest.partition("\n## ")[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the rows of the tables in a text, without their heads."""
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("| `") and not following.startswith("|-"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def names(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return _CODE.findall(cell)


def expanded(path: str) -> list[str]:
    """`{a,b}` as a shell expands it."""
    parts = _BRACES.split(path)
    options = [part.split(",") if place % 2 else [part] for place, part in enumerate(parts)]
    return ["".join(chosen) for chosen in product(*options)]
