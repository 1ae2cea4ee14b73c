"""Cases for stores that outlive their process, and that several may use; made for `import *`."""

from .cases.reopening import TestOpenedAgain, TestTwoAtOnce
from .fixtures import clock
from .harness import OpenBackend

__all__ = ["OpenBackend", "TestOpenedAgain", "TestTwoAtOnce", "clock"]
