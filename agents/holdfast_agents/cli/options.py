"""From settings to what the wiring takes."""

from holdfast_agents.base.runner import RunnerLimits
from holdfast_agents.logs import Logger
from holdfast_agents.settings import Settings
from holdfast_agents.wiring import ServiceOptions
from holdfast_backends.opening import BackendOptions

_SECONDS_PER_HOUR = 3600
_SECONDS_PER_DAY = 24 * _SECONDS_PER_HOUR
_MEBI = 1024 * 1024


def backend_options(settings: Settings) -> BackendOptions:
    """How the settings want a backend to be opened."""
    return BackendOptions(
        namespace=settings.namespace,
        retention_seconds=settings.retention_days * _SECONDS_PER_DAY,
        keep_events=settings.events,
        event_retention_seconds=settings.event_retention_hours * _SECONDS_PER_HOUR,
        allow_unsafe=settings.allow_unsafe_redis,
        pool_size=settings.pool_size,
    )


def service_options(settings: Settings, log: Logger) -> ServiceOptions:
    """How the settings want a service to be run."""
    return ServiceOptions(
        namespace=settings.namespace,
        agents=settings.agents,
        backend_options=backend_options(settings),
        limits=RunnerLimits(
            prefetch=settings.prefetch,
            batch_messages=settings.batch_messages,
            taken_bytes=settings.memory_mib * _MEBI,
            held_bytes=settings.memory_mib * _MEBI // 2,
            retry_seconds=settings.retry_seconds,
            response_bytes=settings.response_limit,
        ),
        response_limit=settings.response_limit,
        journal_on_bus=settings.journal,
        sweep_seconds=settings.sweep_seconds,
        log=log,
    )
