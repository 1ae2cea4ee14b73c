"""Settings: which source wins, and what a wrong one is told."""

import os
import re
from pathlib import Path

import pytest

from holdfast_agents.settings import (
    DEFAULT_FILE,
    Settings,
    SettingsError,
    load_settings,
    setting_names,
)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("HOLDFAST_"):
            monkeypatch.delenv(name)


def refused(options: dict[str, object] | None = None, config: Path | None = None) -> str:
    """The one line that a wrong setting leads to."""
    with pytest.raises(SettingsError) as caught:
        load_settings(options, config)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_defaults() -> None:
    settings = load_settings()
    assert settings == Settings()
    assert settings.bus.get_secret_value() == "amqp://guest:guest@127.0.0.1:5672/"
    assert settings.backend.get_secret_value() == "sqlite:///holdfast.db"
    assert settings.agents == ("storage",)
    assert settings.retention_days == 30


def test_option_over_environment_over_file_over_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "some.toml"
    file.write_text("prefetch = 1\npool_size = 1\nbatch_messages = 1\n")
    monkeypatch.setenv("HOLDFAST_PREFETCH", "2")
    monkeypatch.setenv("HOLDFAST_POOL_SIZE", "2")
    settings = load_settings({"prefetch": 3, "pool_size": None}, file)
    assert (settings.prefetch, settings.pool_size, settings.batch_messages) == (3, 2, 1)
    assert settings.sweep_seconds == 60


def test_the_file_is_the_given_one_then_the_variables_then_the_folders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    DEFAULT_FILE.write_text('namespace = "of-folder"')
    assert load_settings().namespace == "of-folder"
    (tmp_path / "named.toml").write_text('namespace = "of-variable"')
    monkeypatch.setenv("HOLDFAST_CONFIG", "named.toml")
    assert load_settings().namespace == "of-variable"
    (tmp_path / "given.toml").write_text('namespace = "given"')
    assert load_settings(config=Path("given.toml")).namespace == "given"


def test_lists_and_tables_from_environment_and_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "some.toml"
    file.write_text('agents = ["storage", "caching"]\n[indexes]\ntasks = ["owner.name", "due"]\n')
    settings = load_settings(config=file)
    assert settings.agents == ("storage", "caching")
    assert settings.indexes == {"tasks": ("owner.name", "due")}
    monkeypatch.setenv("HOLDFAST_AGENTS", "storage, data")
    monkeypatch.setenv("HOLDFAST_INDEXES", '{"users": ["name"]}')
    settings = load_settings(config=file)
    assert settings.agents == ("storage", "data")
    assert settings.indexes == {"users": ("name",)}


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HOLDFAST_PREFETCH", "many", "prefetch (from HOLDFAST_PREFETCH): .* 1 to 65535"),
        ("HOLDFAST_PREFETCH", "0", "prefetch (from HOLDFAST_PREFETCH): .* 1 to 65535"),
        ("HOLDFAST_LOG_LEVEL", "loud", "log_level .*debug, info, warning or error"),
        ("HOLDFAST_RESPONSE_LIMIT", "1024", "response_limit .*2 MiB"),
        ("HOLDFAST_RETENTION_DAYS", "0", "retention_days .*above 0"),
        ("HOLDFAST_SWEEP_SECONDS", "nan", "sweep_seconds"),
        ("HOLDFAST_AGENTS", "storage,storage", "agents .*twice"),
        ("HOLDFAST_AGENTS", "", "agents "),
        ("HOLDFAST_NAMESPACE", "Über", "namespace .*a-z"),
        ("HOLDFAST_ALLOW_UNSAFE_REDIS", "perhaps", "allow_unsafe_redis .*true or false"),
        ("HOLDFAST_INDEXES", "{", "HOLDFAST_INDEXES is no JSON"),
        ("HOLDFAST_INDEXES", '{"tasks": "owner"}', "indexes .* at tasks"),
        ("HOLDFAST_PREFECH", "1", "HOLDFAST_PREFECH: there is no such .*mean HOLDFAST_PREFETCH"),
        ("HOLDFAST_QQQ", "1", "HOLDFAST_QQQ: there is no such setting; there are: .*BACKEND"),
        ("HOLDFAST_CONFIG", "missing.toml", "missing.toml cannot be read"),
    ],
)
def test_a_wrong_variable_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    text = refused()
    pattern = told.replace("(", r"\(").replace(")", r"\)")
    assert re.search(pattern, text), text


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("prefetch = 'x'", "prefetch (from some.toml)"),
        ("prefech = 1", "prefech in some.toml: there is no such setting; did you mean prefetch?"),
        ("prefetch = 1 2", "some.toml is no TOML"),
        ("[indexes]\nTasks = ['x']", "indexes (from some.toml)"),
        ("[indexes]\ntasks = [1]", "indexes (from some.toml) at tasks.0"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(toml: str, told: str) -> None:
    Path("some.toml").write_text(toml)
    assert told in refused(config=Path("some.toml"))


def test_a_wrong_option_is_named_as_an_option() -> None:
    assert "log_level (from --log-level)" in refused({"log_level": "loud"})


def test_variables_of_tests_and_servers_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEST_AMQP_URL", "AMQP_PORT", "DIFFERENTIAL_OPERATIONS", "POSTGRES_PASSWORD"):
        monkeypatch.setenv(f"HOLDFAST_{name}", "x")
    assert load_settings() == Settings()


def test_urls_are_never_shown() -> None:
    settings = load_settings({"bus": "amqp://u:secret@h/", "backend": "redis://:secret@h"})
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings)
    assert "secret" not in refused({"bus": "amqp://u:secret@h/", "prefetch": 0})
    assert "secret" not in refused({"bus": ["amqp://u:secret@h/"]})


def test_each_setting_says_what_is_allowed() -> None:
    for name in setting_names():
        assert Settings.model_fields[name].description
