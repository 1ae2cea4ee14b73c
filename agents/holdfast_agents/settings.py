"""Settings: from options, the environment (`HOLDFAST_*`) and a TOML file.

An option wins over the environment, the environment over the file, the file over the default.
Whatever nobody knows is refused: a misspelt setting must not be silently without effect.
Nothing is read at import.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

import pydantic
from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as EnvironmentSettingsError

from holdfast_protocol.limits import MAX_RESPONSE_BYTES

__all__ = ["DEFAULT_FILE", "Settings", "SettingsError", "load_settings", "setting_names"]

DEFAULT_FILE: Final = Path("holdfast.toml")
CONFIG_VARIABLE: Final = "HOLDFAST_CONFIG"
_PREFIX: Final = "HOLDFAST_"
# Variables of the tests and of docker-compose.yml: they may stand in the same environment.
_OTHERS_PREFIXES: Final = (
    "HOLDFAST_TEST_",
    "HOLDFAST_BENCH_",
    "HOLDFAST_DIFFERENTIAL_",
    "HOLDFAST_AMQP_",
    "HOLDFAST_RABBITMQ_",
    "HOLDFAST_POSTGRES_",
    "HOLDFAST_REDIS_",
)
_MEBI: Final = 1024 * 1024

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class SettingsError(Exception):
    """A setting is wrong. The text is one line that names it, and never holds a secret."""


class Settings(BaseSettings):
    """How Holdfast is to run. Each description says what is allowed."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    bus: SecretStr = Field(
        default=SecretStr("amqp://guest:guest@127.0.0.1:5672/"),
        description="URL of the broker: amqp:// or amqps://; a cluster's hosts with commas",
    )
    backend: SecretStr = Field(
        default=SecretStr("sqlite:///holdfast.db"),
        description="URL of the store: sqlite:///file, postgresql://…, redis://…, memory://;"
        " postgresql://user:password@host:port,host:port/database has several hosts,"
        " so have redis+sentinel://:password@host:port,host:port/mymaster/0 (and"
        " ?sentinel_password=…) and redis+cluster://:password@host:port,host:port/",
    )
    agents: Annotated[tuple[Name, ...], NoDecode] = Field(
        default=("storage",), min_length=1, description="names of agents, separated by commas"
    )
    namespace: Name = Field(
        default="holdfast", description="prefix of broker objects and keys: ^[a-z][a-z0-9_-]{0,62}$"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto (console on a terminal, else json), json or console"
    )
    prefetch: int = Field(
        default=500, ge=1, le=65_535, description="unsettled deliveries at once, 1 to 65535"
    )
    batch_messages: int = Field(
        default=1_000, ge=1, le=10_000, description="messages of one batch, 1 to 10000"
    )
    retry_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3_600,
        allow_inf_nan=False,
        description="seconds that a message waits for an unreachable store, 0 to 3600",
    )
    response_limit: int = Field(
        default=MAX_RESPONSE_BYTES,
        ge=2 * _MEBI,
        le=64 * _MEBI,
        description="bytes of a page of results, 2 MiB (2097152) to 64 MiB (67108864)",
    )
    retention_days: float = Field(
        default=30.0,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
        description="days that a message's identity and reply are kept, above 0, at most 36500",
    )
    events: bool = Field(
        default=True, description="keep change events and publish them; true or false"
    )
    event_retention_hours: float = Field(
        default=24.0,
        gt=0,
        le=876_000,
        allow_inf_nan=False,
        description="hours that published events can be read again, above 0, at most 876000",
    )
    journal: bool = Field(
        default=False,
        description="append every exchange to the journal on the bus; true or false",
    )
    memory_mib: int = Field(
        default=64,
        ge=16,
        le=65_536,
        description="MiB of message bodies taken and not yet settled, 16 to 65536",
    )
    sweep_seconds: float = Field(
        default=60.0,
        ge=0.1,
        le=86_400,
        allow_inf_nan=False,
        description="seconds between two removals of what has expired, 0.1 to 86400",
    )
    pool_size: int = Field(
        default=8, ge=1, le=1_000, description="connections to the store, 1 to 1000"
    )
    allow_unsafe_redis: bool = Field(
        default=False,
        description="true: also use a Redis that may lose what it acknowledged; true or false",
    )
    connect_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3_600,
        allow_inf_nan=False,
        description="seconds to wait at start for broker and store, 0 to 3600",
    )
    shutdown_seconds: float = Field(
        default=25.0,
        gt=0,
        le=3_600,
        allow_inf_nan=False,
        description="seconds to finish what was taken when stopping, above 0, at most 3600",
    )
    indexes: dict[Name, tuple[str, ...]] = Field(
        default_factory=dict,
        description='paths to index, by collection: {"tasks": ["owner.name"]}',
    )

    @field_validator("agents", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(","))
        return value

    @field_validator("agents")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("an agent is named twice")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: `load_settings` reads the sources, to know where a value is from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class _Given:
    """One source's values, and how a value's place is named to a person."""

    values: Mapping[str, object]
    name_of: Callable[[str], str]


def setting_names() -> list[str]:
    """All settings, in the order of their declaration."""
    return list(Settings.model_fields)


def load_settings(
    options: Mapping[str, object] | None = None, config: Path | None = None
) -> Settings:
    """The settings that hold for this process.

    Args:
        options: what was given on the command line; None values are absent.
        config: the TOML file; else `HOLDFAST_CONFIG`, else ./holdfast.toml where it exists.

    Raises:
        SettingsError: a setting is unknown or wrong, or the file cannot be read.
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    path = _chosen_file(config)
    sources = [
        _Given(given, lambda setting: "--" + setting.replace("_", "-")),
        _Given(_environment(), lambda setting: _PREFIX + setting.upper()),
        _Given({} if path is None else _file(path), lambda _setting: str(path)),
    ]
    merged: dict[str, object] = {}
    for source in reversed(sources):
        merged.update(source.values)
    try:
        return Settings.model_validate(merged)
    except pydantic.ValidationError as error:
        raise SettingsError(_described(error, sources)) from None


def _chosen_file(config: Path | None) -> Path | None:
    if config is not None:
        return config
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _environment() -> dict[str, object]:
    known = {f"{_PREFIX}{name.upper()}" for name in setting_names()}
    for variable in sorted(os.environ):
        if variable.upper().startswith(_PREFIX) and variable.upper() not in known:
            _refuse_unknown_variable(variable, known)
    try:
        values: dict[str, object] = EnvSettingsSource(Settings)()
    except EnvironmentSettingsError as error:
        cause = error.__cause__
        raise SettingsError(
            f"{_PREFIX}INDEXES is no JSON ({cause}); {_allowed('indexes')}"
        ) from None
    return values


def _refuse_unknown_variable(variable: str, known: set[str]) -> None:
    upper = variable.upper()
    if upper == CONFIG_VARIABLE or upper.startswith(_OTHERS_PREFIXES):
        return
    raise SettingsError(f"{variable}: there is no such setting{_nearest(upper, known)}")


def _file(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            values: dict[str, object] = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {_one_line(error)}") from None
    known = set(setting_names())
    for name in values:
        if name not in known:
            hint = _nearest(name, known)
            raise SettingsError(f"{name} in {path}: there is no such setting{hint}")
    return values


def _nearest(name: str, known: set[str]) -> str:
    bare = {setting.removeprefix(_PREFIX): setting for setting in known}
    close = get_close_matches(name.removeprefix(_PREFIX), sorted(bare), n=1)
    if close:
        return f"; did you mean {bare[close[0]]}?"
    return f"; there are: {', '.join(sorted(known))}"


def _described(error: pydantic.ValidationError, sources: list[_Given]) -> str:
    """The first fault as one line: which setting, from where, what is wrong, what is allowed."""
    first = error.errors(include_input=False, include_url=False)[0]
    setting = str(first["loc"][0])
    inside = ".".join(str(part) for part in first["loc"][1:])
    origin = next((s.name_of(setting) for s in sources if setting in s.values), "the default")
    where = f" at {inside}" if inside and setting == "indexes" else ""
    fault = first["msg"].removeprefix("Value error, ")
    fault = fault[:1].lower() + fault[1:]
    return _one_line(f"{setting} (from {origin}){where}: {fault}; {_allowed(setting)}")


def _allowed(setting: str) -> str:
    field = Settings.model_fields.get(setting)
    return f"allowed: {field.description}" if field is not None else "there is no such setting"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
