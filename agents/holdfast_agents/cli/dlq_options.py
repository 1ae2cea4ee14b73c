"""The options of `holdfast dlq` that say which dead letters are meant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .common import ExitCode, fail

if TYPE_CHECKING:
    from holdfast_agents.dead_letters import Choice
    from holdfast_protocol.actions import DeadLetterFilter

_AGE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_YEARS: Final = 100  # the longest age
_LONGEST: Final = _YEARS * 31_557_600  # seconds

IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="Ids, as `dlq list` tells them.")
]
IdOption = Annotated[
    list[str] | None, typer.Option("--id", metavar="ID", help="The same; may be given repeatedly.")
]
ReasonOption = Annotated[
    str | None, typer.Option(metavar="WORD", help="Given up for this reason, e.g. expired.")
]
ActionOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Messages of this action; an array that holds one, too."),
]
AgentOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Given up by this agent, or in its queue.")
]
OlderOption = Annotated[
    str | None, typer.Option(metavar="AGE", help="Given up longer ago: 30s, 15m, 2h or 7d.")
]
NewerOption = Annotated[
    str | None, typer.Option(metavar="AGE", help="Given up since then: 30s, 15m, 2h or 7d.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All dead letters.")]
LimitOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="At most N that match, about the oldest.")
]
ListLimitOption = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, help="At most N that match, about the oldest.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only count; change nothing.")]


@dataclass(frozen=True, slots=True)
class Selection:
    """What the options say, as they were written."""

    reason: str | None
    action: str | None
    agent: str | None
    older_than: str | None
    newer_than: str | None

    def filter(self) -> "DeadLetterFilter":
        """The same for the desk; the end of the command (2) where an age is none."""
        older = parse_age("--older-than", self.older_than)
        newer = parse_age("--newer-than", self.newer_than)

        import pydantic

        from holdfast_protocol.actions import DeadLetterFilter
        from holdfast_protocol.validation import describe, validation_details

        try:
            return DeadLetterFilter(
                reason=self.reason,
                action=self.action,
                agent=self.agent,
                older_than_seconds=older,
                newer_than_seconds=newer,
            )
        except pydantic.ValidationError as error:
            fail(describe("filter", validation_details(error)), ExitCode.USAGE)

    def choice(
        self, ids: Sequence[str], everything: bool, limit: int | None, dry_run: bool
    ) -> "Choice":
        """What to work on; the end of the command (2) where nothing says which. Ids may be
        written as they are shown."""
        chosen = self.filter()
        if everything and (ids or chosen.filters):
            fail("--all goes with no id and no filter", ExitCode.USAGE)
        if not (everything or ids or chosen.filters):
            fail("say which dead letters: ids, a filter such as --reason, or --all", ExitCode.USAGE)

        from holdfast_agents.dead_letters import Choice

        from .dlq_show import as_meant

        meant = [one for letter_id in ids for one in as_meant(letter_id)]
        return Choice(chosen, meant or None, limit, dry_run)


def parse_age(option: str, text: str | None) -> float | None:
    """Seconds; the end of the command (2) where the text is no age."""
    if text is None:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        fail(f"{option} is a number with s, m, h or d behind it, e.g. 90s or 2h", ExitCode.USAGE)
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST:
        fail(f"{option} is at most {_YEARS} years, {_LONGEST // _SECONDS['d']}d", ExitCode.USAGE)
    return seconds
