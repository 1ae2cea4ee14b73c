"""What the pages point to is there."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import CHECKOUT, PAGES, code, expanded, links

_FOLDERS = ("agents", "backends", "benchmarks", "docs", "examples", "protocol", "scripts", "tests")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_relative_link_leads_to_a_file(page: Path) -> None:
    relative = [urlsplit(link) for link in links(page)]
    paths = [link.path for link in relative if not link.scheme and link.path]
    assert [path for path in paths if not (page.parent / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_path_of_the_checkout_that_is_named_is_there(page: Path) -> None:
    named = [
        path
        for text in code(page)
        if text.partition("/")[0] in _FOLDERS and " " not in text
        for path in expanded(text)
    ]
    assert [path for path in named if not (CHECKOUT / path).exists()] == []
