"""How `holdfast send` shows what came back."""

import orjson
import typer
from pydantic import JsonValue
from rich.console import Console
from rich.json import JSON
from rich.text import Text

from holdfast_protocol.codec import compact_json
from holdfast_protocol.errors import HoldfastError, NoRouteError
from holdfast_protocol.messages import AgentResponse
from holdfast_protocol.wire import response_fields

from .common import console
from .messaging import Received


def print_response(received: Received, *, as_json: bool) -> None:
    """Print it on stdout: one line of JSON, or for a person's eyes."""
    if as_json:
        typer.echo(compact_json(_fields(received)).decode())
        return
    out = console()
    if received.response is not None:
        _print_answer(out, received.response)
    elif received.error is not None:
        error = received.error
        _print_error(out, error.error_type, error.message, error.details)
        if isinstance(error, NoRouteError):
            out.print("Is `holdfast serve` running there, with this agent and namespace?")
    else:
        out.print(f"sent {received.message_id}")


def _fields(received: Received) -> dict[str, object]:
    """The response as it came; what went wrong on the way has the same form."""
    if received.response is not None:
        return response_fields(received.response)
    if received.error is not None:
        return _error_fields(received.error)
    return {"status": "sent", "id": received.message_id}


def _error_fields(error: HoldfastError) -> dict[str, object]:
    return {
        "status": "error",
        "error": error.message,
        "error_type": error.error_type,
        "details": error.details,
    }


def _print_answer(out: Console, response: AgentResponse) -> None:
    if not response.ok:
        kind, text = response.error_type or "error", response.error or ""
        _print_error(out, kind, text, response.details)
        return
    out.print(Text("success", style="bold green"), _facts(response.meta))
    out.print(_pretty(response.result))


def _print_error(out: Console, kind: str, text: str, details: dict[str, JsonValue]) -> None:
    # Text is printed as it is: rich would take brackets in it for markup.
    out.print(Text(kind, style="bold red"), Text(text))
    if details:
        out.print(_pretty(details))


def _facts(meta: dict[str, JsonValue]) -> Text:
    plain = {
        name: value
        for name, value in meta.items()
        if value is not None and not isinstance(value, (dict, list))
    }
    facts = [f"{name}={orjson.dumps(value).decode()}" for name, value in plain.items()]
    return Text(" ".join(facts), style="dim")


def _pretty(value: JsonValue) -> JSON:
    return JSON(orjson.dumps(value).decode(), ensure_ascii=False)
