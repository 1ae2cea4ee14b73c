"""Stands for the fixtures that need an event loop where pytest-asyncio is not active."""

from typing import NoReturn

import pytest


@pytest.fixture
def holdfast_service() -> NoReturn:
    """Says what is missing."""
    _refuse("holdfast_service")


@pytest.fixture
def holdfast_bus() -> NoReturn:
    """Says what is missing."""
    _refuse("holdfast_bus")


@pytest.fixture
def holdfast_client() -> NoReturn:
    """Says what is missing."""
    _refuse("holdfast_client")


def _refuse(name: str) -> NoReturn:
    text = f"{name} needs pytest-asyncio, which is not active: pip install 'holdfast[testing]'"
    pytest.fail(text, pytrace=False)
