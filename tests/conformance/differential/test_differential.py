"""The same random history on every backend, beside a naive model of the contract.

    HOLDFAST_DIFFERENTIAL_OPERATIONS   how many operations, 100,000 by default
    HOLDFAST_DIFFERENTIAL_SEED         which history, 1 by default

Whatever differs is told with its seed, batch and operation, so that it can be run again.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from holdfast_backends import InMemoryBackend, RedisBackend
from holdfast_backends.outcomes import Outcome, Page
from holdfast_backends.testing.harness import AnyBackend, ManualClock
from tests.conformance.differential.asks import Ask, answer, operation
from tests.conformance.differential.comparing import disagreement, projected
from tests.conformance.differential.history import History
from tests.conformance.differential.model import Model
from tests.conformance.differential.naive import Place, deciding, place
from tests.conformance.differential.outboxes import disagreement_of_outboxes
from tests.conformance.differential.words import Answer
from tests.conformance.stores import LentBackend

OPERATIONS = int(os.environ.get("HOLDFAST_DIFFERENTIAL_OPERATIONS", "100000"))
SEED = int(os.environ.get("HOLDFAST_DIFFERENTIAL_SEED", "1"))
MONTH_SECONDS = 31 * 86_400
MONTH_EVERY = 40  # batches


class Trial:
    """One history on several backends at once."""

    def __init__(self, backends: Mapping[str, AnyBackend], clock: ManualClock, seed: int) -> None:
        self._backends = backends
        self._clock = clock
        self._seed = seed
        self._model = Model()
        self._history = History(seed, self._model)
        self._cursors: dict[str, dict[int, str]] = {name: {} for name in backends}
        self._places: dict[int, Place] = {}
        self._batches = 0
        self._asked = 0

    async def run(self, operations: int) -> int:
        """Batch after batch; how many operations there were."""
        done = 0
        while done < operations:
            self._clock.advance(self._history.seconds())
            self._model.now = self._clock()
            asks = self._history.batch()
            outcomes = await self._execute(asks)
            for position, ask in enumerate(asks):
                told = {name: each[position] for name, each in outcomes.items()}
                self._check(position, ask, told)
            done += sum(ask.weight for ask in asks)
            self._batches += 1
            if self._batches % MONTH_EVERY == 0:
                await self._let_a_month_pass()
        await self._compare_outboxes()
        return done

    async def _execute(self, asks: list[Ask]) -> dict[str, list[Outcome]]:
        async def execute(name: str, backend: AnyBackend) -> list[Outcome]:
            known = self._cursors[name]
            return await backend.execute(
                [operation(ask, known.get(ask.continues or 0)) for ask in asks]
            )

        told = await asyncio.gather(*(execute(*item) for item in self._backends.items()))
        return dict(zip(self._backends, told, strict=True))

    def _check(self, position: int, ask: Ask, outcomes: dict[str, Outcome]) -> None:
        self._asked += 1
        expected = answer(self._model, ask, self._places.get(ask.continues or 0))
        first = projected(next(iter(outcomes.values())))
        for name, outcome in outcomes.items():
            if projected(outcome) != first:
                self._fail(position, ask, outcomes, f"{name} differs from the first")
            # They are all alike: compared with the model once, they all are.
        one = next(iter(outcomes.values()))
        difference = disagreement(ask, expected, one)
        if difference is not None:
            self._fail(position, ask, outcomes, f"the model differs: {difference}")
        if isinstance(one, Page) and one.next_cursor is not None:
            self._remember_page(ask, expected, outcomes)

    def _remember_page(self, ask: Ask, expected: Answer, outcomes: dict[str, Outcome]) -> None:
        number, last = self._asked, 0
        for name, outcome in outcomes.items():
            assert isinstance(outcome, Page)
            assert outcome.next_cursor is not None
            self._cursors[name][number] = outcome.next_cursor
            last = len(outcome.records) - 1
        self._places[number] = place(expected[1][last].document, deciding(ask.args["sort"]))
        self._history.page_has_more(number, ask)

    async def _let_a_month_pass(self) -> None:
        await self._compare_outboxes()
        self._clock.advance(MONTH_SECONDS)
        self._model.now = self._clock()
        for backend in self._backends.values():
            while await backend.sweep():
                pass
        self._model.sweep()
        self._model.forget()
        self._history.forget()

    async def _compare_outboxes(self) -> None:
        difference = await disagreement_of_outboxes(self._backends, self._model)
        if difference is not None:
            which = f"seed {self._seed}, after batch {self._batches}"
            pytest.fail(f"the outboxes differ\n{which}: {difference}", pytrace=False)

    def _fail(self, position: int, ask: Ask, outcomes: dict[str, Outcome], what: str) -> None:
        which = f"seed {self._seed}, batch {self._batches}, operation {position}"
        told = "\n".join(f"{name}: {outcome}" for name, outcome in outcomes.items())
        pytest.fail(
            f"{what}\n{which}: {ask}\n{told}",
            pytrace=False,
        )


@pytest_asyncio.fixture(loop_scope="session")
async def backends(
    sqlite_to_lend: LentBackend,
    postgres_to_lend: LentBackend,
    redis_place: tuple[str, str],
    clock: ManualClock,
) -> AsyncIterator[dict[str, AnyBackend]]:
    """All four, open and empty, on one clock."""
    url, namespace = redis_place
    async with AsyncExitStack() as stack:
        yield {
            "memory": InMemoryBackend(clock=clock),
            "sqlite": await stack.enter_async_context(sqlite_to_lend.lend(clock)),
            "postgres": await stack.enter_async_context(postgres_to_lend.lend(clock)),
            "redis": await stack.enter_async_context(
                RedisBackend(url, namespace=f"{namespace}:differential", clock=clock)
            ),
        }


@pytest.fixture
def clock() -> ManualClock:
    """The time of all backends and of the model."""
    return ManualClock()


@pytest.mark.postgres
@pytest.mark.redis
@pytest.mark.asyncio(loop_scope="session")
async def test_all_backends_and_the_model_agree(
    backends: dict[str, AnyBackend], clock: ManualClock
) -> None:
    assert await Trial(backends, clock, SEED).run(OPERATIONS) >= OPERATIONS
