"""Testing your own agents: fixtures by the pytest plugin, and `assert_replay` for message logs.

See docs/testing-your-agents.md.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .replays import assert_replay

__all__ = ["assert_replay"]


def __getattr__(name: str) -> object:
    # pytest loads the plugin of this package in every suite: nothing more is imported for it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .replays import assert_replay

    return assert_replay
