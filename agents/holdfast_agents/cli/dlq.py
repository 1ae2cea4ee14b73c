"""`holdfast dlq`: the dead letters. What was given up is listed, shown, sent again, removed."""

from typing import TYPE_CHECKING, Annotated

import typer

from .common import (
    BusOption,
    ConfigOption,
    ExitCode,
    JsonOption,
    NamespaceOption,
    fail,
    load_settings,
)
from .dlq_options import (
    ActionOption,
    AgentOption,
    AllOption,
    DryRunOption,
    IdOption,
    IdsArgument,
    LimitOption,
    ListLimitOption,
    NewerOption,
    OlderOption,
    ReasonOption,
    Selection,
)

if TYPE_CHECKING:
    from .dlq_run import Place

dlq = typer.Typer(
    name="dlq",
    help="""List, show, replay and purge dead letters: messages that were given up.

    \b
    A message ends there, with the reason, when it
      forbidden_reply_to  asks to be answered into somebody else's queue
      validation_error, unknown_action, …
                          was refused, and names nobody to tell
      expired             was not wanted any more before it was taken
      unavailable, internal_error, …
                          could not be done, and names nobody to tell

    The commands talk to the broker alone: no agent needs to run, except for what is
    replayed. While one of them runs, it holds the letters that it looks at; another one
    meets only the rest.

    \b
    Examples:
      holdfast dlq list
      holdfast dlq show 3f0c…
      holdfast dlq replay --reason unavailable --dry-run
      holdfast dlq purge --reason expired --older-than 7d --yes
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@dlq.command("list")
def list_(
    reason: ReasonOption = None,
    action: ActionOption = None,
    agent: AgentOption = None,
    older_than: OlderOption = None,
    newer_than: NewerOption = None,
    limit: ListLimitOption = 100,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON for each letter.")
    ] = False,
    bus: BusOption = None,
    namespace: NamespaceOption = None,
    config: ConfigOption = None,
) -> None:
    """List dead letters, the oldest first. Nothing is changed.

    \b
    Exit status:
      0  listed, also when there are none
      1  the broker was not reached
      2  wrong usage

    \b
    Examples:
      holdfast dlq list
      holdfast dlq list --reason validation_error --newer-than 2h
      holdfast dlq list --action storage_save --limit 100000 --json > letters.jsonl
    """
    chosen = Selection(reason, action, agent, older_than, newer_than).filter()
    place = _place(bus, namespace, config)

    from .dlq_run import list_letters

    list_letters(place, chosen, limit, as_json=as_json)


@dlq.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `dlq list` tells it.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the body alone, whole, byte for byte.")
    ] = False,
    as_json: JsonOption = False,
    bus: BusOption = None,
    namespace: NamespaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Show one dead letter: why it is one, its headers, its body. Nothing is changed.

    The body is indented where it is JSON, cut after 64 KiB, and holds no control characters:
    they are escaped.

    \b
    Exit status:
      0  shown
      1  there is no such letter; or the broker was not reached
      2  wrong usage

    \b
    Examples:
      holdfast dlq show 3f0c9a54…
      holdfast dlq show 3f0c9a54… --raw > body
    """
    if raw and as_json:
        fail("give either --raw or --json", ExitCode.USAGE)
    place = _place(bus, namespace, config)

    from .dlq_run import show_letter

    show_letter(place, letter_id, raw=raw, as_json=as_json)


@dlq.command()
def replay(
    ids: IdsArgument = None,
    more_ids: IdOption = None,
    reason: ReasonOption = None,
    action: ActionOption = None,
    agent: AgentOption = None,
    older_than: OlderOption = None,
    newer_than: NewerOption = None,
    everything: AllOption = False,
    limit: LimitOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    bus: BusOption = None,
    namespace: NamespaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Send dead letters to where they were going, and remove them.

    Which ones is said by ids, by options of which all must hold, or by --all. They keep their
    ids, so that what was done already is not done again. Those that cannot be sent stay: nobody
    is bound to their agent's name, or its queue takes no more.

    Mend the cause first: a letter that is given up again comes back, and is not sent again by
    the same command.

    \b
    Exit status:
      0  all that matched were sent
      1  some could not be sent, or an id was given and none was found; or the broker was
         not reached
      2  wrong usage; nothing was done

    \b
    Examples:
      holdfast dlq replay 3f0c9a54…
      holdfast dlq replay --reason unavailable --newer-than 2h --dry-run
      holdfast dlq replay --all --limit 1000
    """
    selection = Selection(reason, action, agent, older_than, newer_than)
    choice = selection.choice([*(ids or ()), *(more_ids or ())], everything, limit, dry_run)
    place = _place(bus, namespace, config)

    from .dlq_run import replay_letters

    replay_letters(place, choice, as_json=as_json)


@dlq.command()
def purge(
    ids: IdsArgument = None,
    more_ids: IdOption = None,
    reason: ReasonOption = None,
    action: ActionOption = None,
    agent: AgentOption = None,
    older_than: OlderOption = None,
    newer_than: NewerOption = None,
    everything: AllOption = False,
    limit: LimitOption = None,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    bus: BusOption = None,
    namespace: NamespaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Remove dead letters for good.

    Which ones is said by ids, by options of which all must hold, or by --all. On a terminal it
    counts them first and asks; elsewhere it needs --yes.

    \b
    Exit status:
      0  all that matched were removed
      1  an id was given and none was found; the answer was no; or the broker was not reached
      2  wrong usage; nothing was done

    \b
    Examples:
      holdfast dlq purge 3f0c9a54…
      holdfast dlq purge --reason expired --older-than 7d --dry-run
      holdfast dlq purge --all --yes
    """
    selection = Selection(reason, action, agent, older_than, newer_than)
    choice = selection.choice([*(ids or ()), *(more_ids or ())], everything, limit, dry_run)
    place = _place(bus, namespace, config)

    from .dlq_run import purge_letters

    purge_letters(place, choice, confirmed=yes, as_json=as_json)


def _place(bus: str | None, namespace: str | None, config: ConfigOption) -> "Place":
    """Where the dead letters are; the end of the command (2) where that can be nowhere."""
    settings = load_settings({"bus": bus, "namespace": namespace}, config)

    from .addresses import check_reachable_bus
    from .dlq_run import Place

    url = settings.bus.get_secret_value()
    check_reachable_bus(url, settings.namespace)
    return Place(url, settings.namespace)
