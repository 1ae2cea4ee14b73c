"""The supervisor itself, with resources whose end a test decides."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from holdfast_protocol.bus.rabbitmq.supervision import Supervisor
from holdfast_protocol.errors import BusClosedError, UnavailableError
from tests.conformance.bus.harness import soon


class Resource:
    """Something with the driver's two words for its end."""

    def __init__(self) -> None:
        self.closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed_by: BaseException | None = None

    async def close(self, exc: BaseException) -> None:
        self.closed_by = exc
        # As the driver does when it gives a connection up: nobody cancelled this task.
        raise asyncio.CancelledError


Failures = list[BaseException]


def maker(made: list[Resource], failures: Failures) -> Callable[[], Awaitable[Resource]]:
    """Raises the failures in turn, and then makes resources."""

    async def make() -> Resource:
        if failures:
            raise failures.pop(0)
        made.append(Resource())
        return made[-1]

    return make


async def next_generation(supervisor: Supervisor[Resource], generation: int) -> None:
    async with asyncio.timeout(30):
        while supervisor.generation < generation:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


async def test_what_is_lost_is_made_again() -> None:
    made: list[Resource] = []
    lost: list[int] = []
    supervisor = Supervisor("thing", maker(made, []), on_lost=lambda: lost.append(1))
    await supervisor.start(5)
    assert (supervisor.current, supervisor.generation) == (made[0], 1)
    made[0].closing.set_exception(ConnectionResetError("gone"))
    await next_generation(supervisor, 2)
    assert (supervisor.current, lost) == (made[1], [1])
    await supervisor.close()
    assert supervisor.current is None
    assert made[1].closed_by is not None


@pytest.mark.parametrize(
    "failure", [OSError("no"), asyncio.CancelledError(), TimeoutError(), KeyError("a defect")]
)
async def test_no_failure_to_make_it_ends_the_supervision(failure: BaseException) -> None:
    made: list[Resource] = []
    supervisor = Supervisor("thing", maker(made, [failure, failure]))
    await supervisor.start(5)
    assert supervisor.current is made[0]
    await supervisor.close()


async def test_given_up_while_it_was_made_it_is_made_again() -> None:
    made: list[Resource] = []

    async def make() -> Resource:
        made.append(Resource())
        if len(made) == 1:
            supervisor.recycle()
        return made[-1]

    supervisor = Supervisor("thing", make)
    await supervisor.start(5)
    await next_generation(supervisor, 2)
    assert len(made) == 2
    await supervisor.close()


async def test_closing_ends_those_who_wait() -> None:
    async def make() -> Resource:
        raise OSError("never")

    supervisor = Supervisor("thing", make)
    with pytest.raises(UnavailableError):
        await soon(supervisor.start(0.01))
    with pytest.raises(BusClosedError):
        await soon(supervisor.get())


async def test_a_defect_while_supervising_is_logged_and_waits_for_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def on_lost() -> None:
        raise ZeroDivisionError

    made: list[Resource] = []
    supervisor = Supervisor("thing", maker(made, []), on_lost=on_lost)
    await supervisor.start(5)
    supervisor.recycle()
    with pytest.raises(BusClosedError):
        await soon(supervisor.get())
    assert "thing is no longer supervised" in caplog.text
