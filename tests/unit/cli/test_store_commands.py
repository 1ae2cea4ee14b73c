"""`holdfast migrate` and `holdfast doctor` on real stores."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.unit.cli.processes import holdfast, holdfast_async, serving

NOWHERE = "amqp://127.0.0.1:1/"


def findings(text: str) -> dict[str, str]:
    """Subject to level, of the doctor's JSON; the last finding of a subject counts."""
    return {finding["subject"]: finding["level"] for finding in json.loads(text)["findings"]}


@pytest.mark.postgres
async def test_a_postgres_database_is_migrated_once(fresh_postgres_url: str) -> None:
    first = await holdfast_async("migrate", "--backend", fresh_postgres_url, "--json")
    assert (first.returncode, first.stderr) == (0, "")
    report = json.loads(first.stdout)
    assert (report["before"], report["changed"]) == (None, True)
    second = await holdfast_async("migrate", "--backend", fresh_postgres_url)
    assert second.returncode == 0
    assert second.stdout.startswith("postgresql: nothing to do, the schema is at ")


def test_a_sqlite_file_is_migrated(tmp_path: Path) -> None:
    done = holdfast("migrate", env={"HOLDFAST_BACKEND": "sqlite:///new.db"}, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("sqlite: migrated from nothing to ")
    assert (tmp_path / "new.db").exists()


def test_stores_without_a_schema_need_nothing() -> None:
    done = holdfast("migrate", "--backend", "memory://", "--json")
    assert json.loads(done.stdout)["changed"] is False


@pytest.mark.postgres
async def test_the_server_is_found_among_several_hosts(fresh_postgres_url: str) -> None:
    parts = urlsplit(fresh_postgres_url)
    account, _, host = parts.netloc.rpartition("@")
    url = parts._replace(netloc=f"{account}@127.0.0.1:1,{host}").geturl()
    migrated = await holdfast_async("migrate", "--backend", url)
    assert migrated.returncode == 0
    done = await holdfast_async("doctor", "--bus", NOWHERE, "--backend", url)
    assert "the disk of one machine" in done.stdout


@pytest.mark.parametrize("command", ["migrate", "doctor"])
@pytest.mark.parametrize("hosts", ["h1,,h2", "h1,h1", "h1:0,h2", "::1"])
def test_hosts_that_cannot_be_read_are_one_line_without_the_password(
    hosts: str, command: str
) -> None:
    done = holdfast(command, "--backend", f"postgresql://u:geheim@{hosts}/x")
    assert done.returncode != 0
    assert "geheim" not in done.stdout + done.stderr
    assert "PostgreSQL URL" in done.stdout + done.stderr


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_database_that_is_away_is_one_line_without_the_password(scheme: str) -> None:
    done = holdfast("migrate", "--backend", f"{scheme}://u:geheim@127.0.0.1:1/x")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "geheim" not in done.stderr


# -- doctor ------------------------------------------------------------------------------------


@pytest.mark.amqp
async def test_doctor_of_what_is_not_used_yet_warns(fresh_amqp_url: str, tmp_path: Path) -> None:
    done = await holdfast_async("doctor", "--bus", fresh_amqp_url, "--json", cwd=tmp_path)
    assert done.returncode == 0
    found = findings(done.stdout)
    assert (found["broker"], found["topology"], found["agents"]) == ("ok", "warn", "warn")
    assert not (tmp_path / "holdfast.db").exists()


@pytest.mark.amqp
async def test_doctor_of_a_served_system_is_content(fresh_amqp_url: str, tmp_path: Path) -> None:
    async with serving("--bus", fresh_amqp_url, cwd=tmp_path) as served:
        await served.said("ready")
        done = await holdfast_async("doctor", "--bus", fresh_amqp_url, "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert set(findings(done.stdout).values()) == {"ok"}


@pytest.mark.amqp
async def test_doctor_looks_at_each_node_of_a_cluster(fresh_amqp_url: str, tmp_path: Path) -> None:
    head, _, tail = fresh_amqp_url.rpartition("@")
    host, _, vhost = tail.partition("/")
    url = f"{head}@127.0.0.1:1,{host}/{vhost}"
    done = await holdfast_async("doctor", "--bus", url, "--json", cwd=tmp_path)
    assert done.returncode == 0
    told = [(one["level"], one["text"]) for one in json.loads(done.stdout)["findings"]]
    assert ("warn", "127.0.0.1:1: it cannot be reached") in told
    assert any(level == "ok" and text.startswith(f"{host}: RabbitMQ") for level, text in told)
    away = await holdfast_async("doctor", "--bus", f"{head}@127.0.0.1:1,127.0.0.1:2", cwd=tmp_path)
    assert away.returncode == 1
    assert "127.0.0.1:2: it cannot be reached" in away.stdout


@pytest.mark.postgres
async def test_doctor_tells_of_a_missing_schema(fresh_postgres_url: str) -> None:
    done = await holdfast_async("doctor", "--bus", NOWHERE, "--backend", fresh_postgres_url)
    assert done.returncode == 1
    assert "holdfast migrate" in done.stdout
    assert "fail broker" in done.stdout


@pytest.mark.redis
def test_doctor_looks_at_the_durability_of_redis(redis_url: str) -> None:
    done = holdfast("doctor", "--bus", NOWHERE, "--backend", redis_url, "--json")
    found = findings(done.stdout)
    assert (found["backend"], found["durability"]) == ("ok", "ok")


def test_doctor_of_what_is_away_says_what_to_do() -> None:
    bus, backend = "amqp://u:geheim@127.0.0.1:1/", "postgresql://u:geheim@127.0.0.1:1/x"
    done = holdfast("doctor", "--bus", bus, "--backend", backend)
    assert done.returncode == 1
    assert done.stdout.count("\n") == 3
    assert "HOLDFAST_BUS" in done.stdout
    assert "HOLDFAST_BACKEND" in done.stdout
    assert "geheim" not in done.stdout + done.stderr


@pytest.mark.amqp
def test_doctor_tells_of_a_missing_virtual_host(fresh_amqp_url: str) -> None:
    done = holdfast("doctor", "--bus", f"{fresh_amqp_url}-none", "--backend", "memory://")
    assert done.returncode == 1
    assert "virtual host" in done.stdout
