"""The demonstration: the main job on the embedded default, with real documents."""

from .running import DemoResult, run_demo
from .story import Step

__all__ = ["DemoResult", "Step", "run_demo"]
