"""`holdfast send`: one message to an agent, and its answer."""

import sys
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from .common import (
    BusOption,
    ConfigOption,
    ExitCode,
    JsonOption,
    NamespaceOption,
    fail,
    load_settings,
    run,
)


def send(
    agent: Annotated[str, typer.Argument(help="Name of the agent, e.g. storage.")],
    action: Annotated[str, typer.Argument(help="What to do, e.g. storage_get.")],
    payload: Annotated[
        str, typer.Argument(metavar="JSON", help="Its arguments: an object, @FILE, or - for stdin.")
    ] = "{}",
    bus: BusOption = None,
    namespace: NamespaceOption = None,
    sender: Annotated[
        str, typer.Option(metavar="NAME", help="Who sends: part of the message's identity.")
    ] = "cli",
    message_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="The same id again is the same message."),
    ] = None,
    correlation_id: Annotated[
        str | None, typer.Option(metavar="ID", help="The conversation; echoed in the answer.")
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Not to be executed after: seconds from now, or RFC 3339."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait for the answer.")
    ] = 30.0,
    no_reply: Annotated[
        bool, typer.Option("--no-reply", help="Do not ask for an answer; print the message's id.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Send one message to an agent and print its answer.

    \b
    Exit status:
      0  success
      1  the agent answered with an error; or nobody is bound to the agent's name
         (no_route), or the broker was not reached (unavailable)
      2  wrong usage: bad JSON, a bad name, a wrong setting; nothing was sent
      3  no answer in time: the outcome is unknown, the same --id again is safe

    \b
    Examples:
      holdfast send storage storage_save '{"task": {"title": "Water the kelp"}}'
      holdfast send storage storage_query '{"filters": {"done": false}}' --json
      holdfast send storage storage_batch @operations.json
    """
    settings = load_settings({"bus": bus, "namespace": namespace}, config)

    if not (isfinite(timeout) and timeout > 0):
        fail("--timeout is a number of seconds above 0", ExitCode.USAGE)

    from .addresses import check_reachable_bus
    from .answering import print_response
    from .messaging import Request, check_names, parse_deadline, parse_payload, send_request

    bus_url = settings.bus.get_secret_value()
    check_reachable_bus(bus_url, settings.namespace)
    request = Request(
        agent,
        action,
        parse_payload(_text_of(payload)),
        sender=sender,
        message_id=message_id,
        correlation_id=correlation_id,
        deadline=parse_deadline(deadline),
        timeout=timeout,
        wants_reply=not no_reply,
    )
    check_names(request)
    answer = run(send_request(request, bus_url, settings.namespace))
    print_response(answer, as_json=as_json)
    if answer.code:
        raise typer.Exit(int(answer.code))


def _text_of(argument: str) -> bytes:
    """The JSON that an argument names."""
    if argument == "-":
        return sys.stdin.buffer.read()
    if not argument.startswith("@"):
        return argument.encode("utf-8", "surrogateescape")
    path = Path(argument[1:])
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror or error}", ExitCode.USAGE)
