"""A service's life as a process: connect with patience, tell when ready, stop with grace."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from holdfast_agents.logs import LEVELS, Logger, build_logger
from holdfast_agents.settings import Settings
from holdfast_agents.wiring import Service, ServiceOptions, open_service
from holdfast_backends import SchemaError, StorageError, UnsafeStoreError
from holdfast_backends import UnavailableError as StoreUnavailableError
from holdfast_backends.operations import Index
from holdfast_backends.outcomes import Failed
from holdfast_protocol.errors import UnavailableError as BusUnavailableError

from .common import ExitCode, scheme_of
from .library_logs import forward_library_logs
from .options import service_options

_T = TypeVar("_T")
_RETRY_FIRST: Final = 0.25
_RETRY_LONGEST: Final = 1.0  # a process that begins in an outage is there soon after its end

_YOUNG_OBJECTS: Final = 20_000


def _spare_the_collector() -> None:
    """Have the garbage collector look less often, and never at what stays anyway: a batch makes
    thousands of objects that hold no cycles and die with it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)


class _CannotStartError(Exception):
    """The service cannot start; the text is one line that says what to do."""


class Serving:
    """One run of `holdfast serve`.

    Args:
        settings: checked already.
        ready_file: written when messages can arrive, removed at the end.
    """

    def __init__(self, settings: Settings, ready_file: Path | None = None) -> None:
        self._settings = settings
        self._ready_file = ready_file
        self._log: Logger = build_logger(settings.log_level, settings.log_format)
        self._options: ServiceOptions = service_options(settings, self._log)
        self._stop = asyncio.Event()
        self._service: Service | None = None

    async def run(self) -> ExitCode:
        """Serve until a signal, or until it cannot go on."""
        forward_library_logs(self._log, LEVELS[self._settings.log_level])
        self._catch_signals()
        async with AsyncExitStack() as stack:
            try:
                service = await self._connect(stack)
                if service is None:
                    self._log.info("stopped", reason="signal before it was ready")
                    return ExitCode.OK
                self._service = service
                _spare_the_collector()
            except _CannotStartError as error:
                self._log.error("cannot start", reason=str(error))
                return ExitCode.FAILED
            code = await self._serve(service)
        self._log.info("stopped")
        return code

    # -- starting ------------------------------------------------------------------------------

    async def _connect(self, stack: AsyncExitStack) -> Service | None:
        """The opened service, its indexes declared; None when told to stop before."""
        service = await self._reached(lambda: stack.enter_async_context(self._opened()))
        if service is not None:
            await self._reached(lambda: self._declare_indexes(service))
        return None if self._stop.is_set() else service

    async def _reached(self, attempt: Callable[[], Coroutine[Any, Any, _T]]) -> _T | None:
        """What an attempt gives, once broker and store can be reached; None when told to stop
        before. However long it took to come here, there is as much patience again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.connect_seconds
        delay = _RETRY_FIRST
        while not self._stop.is_set():
            trying = asyncio.ensure_future(attempt())
            stopping = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait((trying, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not trying.done():
                trying.cancel()
                await asyncio.gather(trying, return_exceptions=True)
                return None
            try:
                return trying.result()
            except (StoreUnavailableError, BusUnavailableError) as error:
                self._unreachable(error, final=_is_final(error) or loop.time() >= deadline)
            except (SchemaError, UnsafeStoreError) as error:
                raise _CannotStartError(error.message) from error
            except StorageError as error:
                raise _CannotStartError(f"the backend cannot be opened: {error}") from error
            await self._pause(min(delay, max(0.0, deadline - loop.time())))
            delay = min(delay * 2, _RETRY_LONGEST)
        return None

    def _opened(self) -> AbstractAsyncContextManager[Service]:
        return open_service(
            bus=self._settings.bus.get_secret_value(),
            backend=self._settings.backend.get_secret_value(),
            options=self._options,
        )

    def _unreachable(
        self, error: StoreUnavailableError | BusUnavailableError, *, final: bool
    ) -> None:
        what = "broker" if isinstance(error, BusUnavailableError) else "backend"
        if final:
            seconds = self._settings.connect_seconds
            patience = "" if _is_final(error) else f" within {seconds:g} seconds"
            raise _CannotStartError(f"the {what} was not reached{patience}: {error}") from error
        self._log.warning("not reached yet, trying again", what=what, error=error.message)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _declare_indexes(self, service: Service) -> None:
        for collection, paths in self._settings.indexes.items():
            try:
                (outcome,) = await service.backend.execute([Index(collection, paths)])
            except StoreUnavailableError:
                raise
            except StorageError as error:
                raise _CannotStartError(f"indexes at {collection}: {error}") from error
            if isinstance(outcome, Failed):
                raise _CannotStartError(f"indexes at {collection}: {outcome.error}")

    # -- serving -------------------------------------------------------------------------------

    async def _serve(self, service: Service) -> ExitCode:
        serving = asyncio.create_task(service.run())
        stopping = asyncio.create_task(self._stop.wait())
        self._tell_ready(service)
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._remove_ready_file()
        if not serving.done():
            await service.stop()
            await asyncio.wait((serving,))
        if (error := serving.exception()) is not None:
            self._log.error("the service failed", exc_info=error)
            return ExitCode.FAILED
        return ExitCode.OK

    def _tell_ready(self, service: Service) -> None:
        if self._ready_file is not None:
            # Renamed into place: whoever waits for it never reads half of it.
            written = self._ready_file.with_name(self._ready_file.name + ".new")
            written.write_text(f"{os.getpid()}\n", encoding="utf-8")
            written.replace(self._ready_file)
        settings, capabilities = self._settings, service.backend.capabilities
        self._log.info(
            "ready",
            agents=list(settings.agents),
            bus=scheme_of(settings.bus.get_secret_value()),
            backend=scheme_of(settings.backend.get_secret_value()),
            namespace=settings.namespace,
            durable=capabilities.durable,
            crash_safe=capabilities.crash_safe,
            survives_failover=capabilities.survives_failover,
            pid=os.getpid(),
        )

    def _remove_ready_file(self) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)

    # -- stopping ------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            self._end("a second signal")
        self._log.info("stopping", signal=number.name)
        self._stop.set()
        loop = asyncio.get_running_loop()
        loop.call_later(self._settings.shutdown_seconds, self._end, "shutdown_seconds were over")

    def _end(self, reason: str) -> NoReturn:
        """End the process at once: what is stuck may not keep it.

        It is the same as a crash, and as harmless: unsettled messages are delivered again, and
        their identity makes that a replay.
        """
        unsettled = self._service.unsettled if self._service is not None else 0
        self._log.error("ended before it was done", reason=reason, unsettled=unsettled)
        sys.stderr.flush()
        os._exit(ExitCode.FAILED)


def _is_final(error: StoreUnavailableError | BusUnavailableError) -> bool:
    """Whether the broker refused us: a wrong password does not mend itself."""
    return isinstance(error, BusUnavailableError) and "reason" in error.details
