"""All checks of the doctor, in order."""

from holdfast_agents.settings import Settings
from holdfast_agents.wiring import AGENTS

from .doctor_broker import examine_broker
from .doctor_findings import Finding, Level
from .doctor_store import examine_store


async def examine(settings: Settings) -> list[Finding]:
    """What was found, of settings, broker and store."""
    unknown = [name for name in settings.agents if name not in AGENTS]
    if unknown:
        text, advice = f"there is no agent {unknown[0]}", f"there are: {', '.join(sorted(AGENTS))}"
        first = Finding(Level.FAIL, "settings", text, advice)
    else:
        first = Finding(Level.OK, "settings", f"agents {', '.join(settings.agents)}")
    return [first, *await examine_broker(settings), *await examine_store(settings)]
