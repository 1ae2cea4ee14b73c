"""`holdfast dlq`: what it teaches and refuses, and what it does on a real broker."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from yarl import URL

from holdfast_agents.cli.dlq_options import parse_age
from holdfast_agents.cli.dlq_show import age_of, printable
from holdfast_protocol.bus.contract import Bus, Delivery
from holdfast_protocol.bus.opening import open_bus
from tests.services import unique_name
from tests.unit.cli.processes import Finished, holdfast, holdfast_async

COMMANDS = ["list", "show", "replay", "purge"]
SAVE: Final = {"action": "storage_save", "id": "m1", "sender": "me", "payload": {"task": {"n": 1}}}

Dlq = Callable[..., Finished]


# -- help and wrong usage ------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_teaches_with_an_example(command: list[str]) -> None:
    done = holdfast("dlq", *command, "--help")
    assert done.returncode == 0
    assert "Examples:\n" in done.stdout
    assert " ".join(["holdfast dlq", *command]) in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list", "--older-than", "soon"], "--older-than is a number with s, m, h or d"),
        (["list", "--newer-than", "-1s"], "--newer-than is a number with s, m, h or d"),
        (["list", "--newer-than", "90"], "--newer-than is a number with s, m, h or d"),
        (["list", "--older-than", "99999999d"], "--older-than is at most 100 years, 36525d"),
        (["list", "--newer-than", "3155760001s"], "--newer-than is at most 100 years, 36525d"),
        (["list", "--bus", "memory://"], "bus: memory:// lives inside one process"),
        (["list", "--bus", "amqp://u:geheim@h:x/"], "bus: The bus URL is malformed"),
        (["list", "--namespace", "Ä"], "namespace (from --namespace)"),
        (["list", "--reason", "a\0b"], "filter: reason must be a string without NUL"),
        (["show", "x", "--raw", "--json"], "give either --raw or --json"),
        (["replay"], "say which dead letters: ids, a filter such as --reason, or --all"),
        (["purge", "--dry-run"], "say which dead letters: ids, a filter such as --reason, or"),
        (["replay", "--limit", "5"], "say which dead letters"),
        (["replay", "x", "--all"], "--all goes with no id and no filter"),
        (["purge", "--all", "--older-than", "1d"], "--all goes with no id and no filter"),
        (["purge", "--all"], "there is nobody to ask: use --yes"),
        (["replay", "x", "--config", "missing.toml"], "missing.toml cannot be read"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    done = holdfast("dlq", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["dlq", "list"], ["record", "--out", "run.jsonl"]])
def test_without_a_broker_one_line_says_what_to_look_at(command: list[str], tmp_path: Path) -> None:
    done = holdfast(*command, "--bus", "amqp://u:geheim@127.0.0.1:1/", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "holdfast: The broker cannot be reached; is it running, and do host and port in --bus "
        "or HOLDFAST_BUS hold?\n"
    )


@pytest.mark.amqp
@pytest.mark.parametrize("command", [["dlq", "list"], ["record", "--out", "run.jsonl"]])
@pytest.mark.parametrize("wrong", ["password", "virtual host"])
async def test_whom_the_broker_refuses_is_told_in_one_line_what_to_look_at(
    command: list[str], wrong: str, amqp_url: str, tmp_path: Path
) -> None:
    url = URL(amqp_url)
    url = url.with_password("geheim") if wrong == "password" else url.with_path("/nowhere")
    done = await holdfast_async(*command, "--bus", str(url), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("holdfast: The broker refused: ")
    told = "; check user, password and virtual host in --bus or HOLDFAST_BUS\n"
    assert done.stderr.endswith(told)
    assert done.stderr.count("\n") == 1
    assert url.password is not None
    assert url.password not in done.stderr


# -- the pieces ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("0s", 0), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("36525d", 3_155_760_000)],
)
def test_an_age_is_a_number_and_a_unit(text: str | None, seconds: float | None) -> None:
    assert parse_age("--older-than", text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1", "1w", "1 h", "1H", "-1s", "1e3s", "nan", "36600d"])
def test_anything_else_is_no_age(text: str) -> None:
    with pytest.raises(typer.Exit):
        parse_age("--older-than", text)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (86400, "1d"), (9e7, "1041d"), (-5, "0s")],
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, told: str) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert age_of(now - timedelta(seconds=seconds), now) == told
    assert age_of(None, now) == "?"


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    everything = "".join(chr(number) for number in range(0x110000))
    told = printable(everything)
    assert told.isprintable()
    assert told.startswith("\\x00\\x01\\x02")
    assert printable("a\x1b[31m\u202eü\U000e0001\n\t[b]") == (
        "a\\x1b[31m\\u202eü\\U000e0001\\x0a\\x09[b]"
    )
    assert printable("a\n\tb\r", keep="\n\t") == "a\n\tb\\x0d"


# -- on a broker -------------------------------------------------------------------------------


class Desk:
    """The command on a namespace of its own, and what goes into its dead letters."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._namespace = unique_name()

    def __call__(self, *arguments: str) -> Finished:
        return holdfast("dlq", *arguments, "--bus", self._url, "--namespace", self._namespace)

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """What `list --json` prints."""
        done = self("list", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ids(self) -> list[str]:
        return [line["id"] for line in self.lines()]

    def bury(
        self, said: Any, letter_id: str, *, reason: str = "expired", error: str = "late"
    ) -> None:
        """Put a message into the dead letters: bytes as they are, anything else as JSON."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        delivery = Delivery(
            body, "storage.any", 1, message_id=letter_id, headers={"x-tenant": "a\x1b[2J"}
        )

        async def work(bus: Bus) -> None:
            await bus.dead_letter(delivery, reason=reason, error=error, agent="storage")

        self.on_bus(work)

    def on_bus(self, work: Callable[[Bus], Any]) -> Any:
        """Do something on the same bus."""

        async def opened() -> Any:
            async with open_bus(self._url, namespace=self._namespace) as bus:
                return await work(bus)

        return asyncio.run(opened())


@pytest.fixture
def desk(amqp_url: str) -> Desk:
    return Desk(amqp_url)


@pytest.mark.amqp
def test_where_nobody_ever_served_there_are_none(desk: Desk) -> None:
    done = desk("list")
    assert (done.returncode, done.stdout) == (0, "0 of 0 dead letters\n")
    assert desk.lines() == []
    done = desk("replay", "--all")
    assert (done.returncode, done.stdout) == (0, "replayed 0 dead letters of 0 that match\n")


@pytest.mark.amqp
def test_letters_are_listed_for_people_and_for_scripts(desk: Desk) -> None:
    desk.bury(SAVE, "one", error="[red]no[/red]\x1b[2J")
    desk.bury([{"action": "storage_get"}, SAVE], "two", reason="validation_error")
    done = desk("list")
    assert done.returncode == 0
    heading, first, second, count = done.stdout.splitlines()
    assert heading.split() == ["id", "age", "reason", "agent", "action", "tries", "error"]
    assert "[red]no[/red]\\x1b[2J" in first
    assert second.split()[0] == "two"
    assert count == "2 of 2 dead letters"
    assert "raise --limit" in desk("list", "--limit", "1").stdout
    (line,) = desk.lines("--reason", "expired", "--newer-than", "1h", "--agent", "storage")
    assert (line["id"], line["action"], line["message_id"]) == ("one", "storage_save", "m1")
    assert [line["id"] for line in desk.lines("--action", "storage_save")] == ["one", "two"]
    assert [line["id"] for line in desk.lines("--action", "storage_get")] == ["two"]
    assert desk.lines("--older-than", "1h") == []


@pytest.mark.amqp
def test_a_letter_is_shown_safely(desk: Desk) -> None:
    desk.bury({**SAVE, "metadata": {"a": "\x1b]0;x\x07\x9b ü"}}, "json")
    desk.bury(b'{"action": \x1b[2J\n\xff', "bytes")
    shown = desk("show", "json").stdout
    assert '"n": 1' in shown
    assert "x-tenant     a\\x1b[2J" in shown
    assert "reason       expired" in shown
    assert "\\u001b]0;x\\u0007\\x9b ü" in shown
    assert '{"action": \\x1b[2J\n�' in desk("show", "bytes").stdout
    line = desk("show", "json", "--json").stdout
    assert line.rstrip("\n").isprintable()
    assert json.loads(line)["message"]["metadata"] == {"a": "\x1b]0;x\x07\x9b ü"}
    assert json.loads(desk("show", "bytes", "--json").stdout)["text"].startswith('{"action"')
    done = desk("show", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "holdfast: Dead letter nothing not found\n"


@pytest.mark.amqp
def test_a_large_body_is_cut_and_whole_when_raw(desk: Desk) -> None:
    body = json.dumps({"x": "y" * 200_000}).encode()
    desk.bury(body, "large")
    shown = desk("show", "large").stdout
    assert 65_000 < len(shown) < 70_000
    assert "200,009 bytes; all of them: holdfast dlq show --raw" in shown
    assert desk("show", "large", "--raw").stdout.encode() == body


@pytest.mark.amqp
def test_letters_are_chosen_by_ids_in_either_form(desk: Desk) -> None:
    for name in ("a", "b", "c", "d"):
        desk.bury(SAVE, name)
    done = desk("purge", "a", "--id", "b", "--id", "x", "--yes")
    assert (done.returncode, done.stdout) == (0, "removed 2 dead letters\n")
    done = desk("purge", "a", "--yes", "--json")
    assert json.loads(done.stdout) == {"matched": 0, "purged": 0, "dry_run": False}
    assert (done.returncode, done.stderr) == (1, "holdfast: no dead letter has such an id\n")
    done = desk("purge", "--older-than", "1h", "--yes")
    assert (done.returncode, done.stdout) == (0, "removed 0 dead letters\n")
    assert desk.ids() == ["c", "d"]


@pytest.mark.amqp
def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    desk.bury(SAVE, "a")
    desk.bury(SAVE, "b")
    done = desk("replay", "--all", "--dry-run")
    assert done.stdout == "would replay 2 dead letters of 2 that match\n"
    done = desk("purge", "--reason", "expired", "--limit", "1", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "would remove 1 dead letter\n")
    assert desk.ids() == ["a", "b"]


@pytest.mark.amqp
def test_what_cannot_be_sent_stays_and_says_why(desk: Desk) -> None:
    desk.bury(SAVE, "a")
    done = desk("replay", "--all")
    assert (done.returncode, done.stdout) == (1, "replayed 0 dead letters of 1 that match\n")
    assert done.stderr.startswith("1 could not be sent: nobody is bound to their agent's name")
    done = desk("replay", "a", "--json")
    assert done.returncode == 1
    counted = {"matched": 1, "replayed": 0, "failed": 1, "dry_run": False}
    assert json.loads(done.stdout) == counted
    assert desk.ids() == ["a"]


@pytest.mark.amqp
def test_what_is_replayed_arrives_where_it_was_going(desk: Desk) -> None:
    async def declare(bus: Bus) -> None:
        await (await bus.consume("storage")).cancel()

    async def taken(bus: Bus) -> list[Delivery]:
        consumer = await bus.consume("storage")
        return await asyncio.wait_for(consumer.receive(), 10)

    desk.on_bus(declare)
    desk.bury(SAVE, "a")
    done = desk("replay", "--action", "storage_save")
    assert (done.returncode, done.stdout) == (0, "replayed 1 dead letter of 1 that match\n")
    (delivery,) = desk.on_bus(taken)
    assert (json.loads(delivery.body), delivery.message_id) == (SAVE, "a")
    assert delivery.routing_key == "storage.any"
    assert desk.ids() == []
