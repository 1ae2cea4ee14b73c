"""The `holdfast` command: one file per command, put together in `app`."""

from .app import main

__all__ = ["main"]
