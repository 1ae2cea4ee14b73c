"""What the command teaches, and how it refuses wrong usage: one line, exit 2."""

from pathlib import Path

import pytest

from holdfast_agents.settings import setting_names
from tests.unit.cli.processes import holdfast

COMMANDS = ["demo", "serve", "send", "replay", "migrate", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(command: str) -> None:
    done = holdfast(command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"holdfast {command}" in done.stdout


def test_help_names_every_command_and_version_the_version() -> None:
    listed = holdfast("--help").stdout
    assert all(command in listed for command in COMMANDS)
    assert holdfast("--version").stdout.startswith("holdfast ")


def test_help_of_serve_names_every_setting() -> None:
    text = holdfast("serve", "--help").stdout
    assert [name for name in setting_names() if name not in text] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "--bus", "http://x"], "bus: The bus URL must begin with"),
        (["serve", "--bus", "amqp://u:geheim@h:x/"], "bus: The bus URL is malformed"),
        (["serve", "--bus", "memory://"], "bus: memory:// lives inside one process"),
        (["serve", "--backend", "mysql://u:geheim@h/"], "backend: the backend's URL must begin"),
        (["serve", "--agents", "storag"], "agents: there is no agent storag; there are: storage"),
        (["serve", "--log-level", "loud"], "log_level (from --log-level)"),
        (["serve", "--ready-file", "missing/ready"], "--ready-file: there is no folder missing"),
        (["serve", "--config", "missing.toml"], "missing.toml cannot be read"),
        (["send", "storage", "storage_get", "{"], "the payload is no JSON"),
        (["send", "storage", "storage_get", "[]"], "the payload is JSON, but no object"),
        (["send", "storage", "storage_get", '{"a":1,"a":2}'], "given twice"),
        (["send", "storage", "storage_get", '{"n":1e999}'], "payload"),
        (["send", "storage", "storage_get", "@missing.json"], "missing.json cannot be read"),
        (["send", "storage", "agent_ping", "--deadline", "soon"], "--deadline is seconds"),
        (["send", "storage", "agent_ping", "--timeout", "-1"], "--timeout is a number"),
        (["send", "Storage", "agent_ping"], "'Storage' is no name of an agent"),
        (["send", "storage", "BAD"], "action must be a name"),
        (["send", "storage", "agent_ping", "--sender", ""], "sender must be"),
        (["send", "storage", "agent_ping", "--bus", "memory://"], "bus: memory://"),
        (["replay", "missing.jsonl"], "missing.jsonl cannot be read"),
        (["replay", "missing.jsonl", "--speed", "0"], "--speed is a number above 0, or max"),
        (["replay", "x", "--bus", "amqp://h/", "--backend", "memory://"], "either --bus or"),
        (["migrate", "--backend", "nothing"], "backend: the backend's URL must begin with"),
        (["doctor", "--bus", "nothing"], "bus: The bus URL must begin with"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    done = holdfast(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_setting_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = holdfast("serve", env={"HOLDFAST_PREFECH": "1"}, cwd=tmp_path)
    assert done.returncode == 2
    line = "holdfast: HOLDFAST_PREFECH: there is no such setting; did you mean HOLDFAST_PREFETCH?"
    assert done.stderr == f"{line}\n"
