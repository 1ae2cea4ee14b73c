"""Queries on a million documents with a declared index, beside SQL by hand."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import median
from time import perf_counter
from typing import ClassVar

from benchmarks.environment import Bench
from benchmarks.holdfast import migrated
from benchmarks.model import Case, Goal, Measure, Sample, Series
from benchmarks.peers.hand_queries import HandQueries
from benchmarks.queries import PAGE, Documents, HoldfastQueries, Queries
from holdfast_backends.opening import open_backend

_ALL, _QUICK_ALL = 1_000_000, 100_000
_ROUNDS, _QUICK_ROUNDS = 60, 20
_KINDS = ("equality", "range", "sorted page", "deep page")


class QueriesByIndex(Case):
    """Pages of 100 documents of a million, on the backend alone.

    By hand: a table with `jsonb` documents and expression b-tree indexes on the same two paths,
    prepared statements, keyset paging by row comparison. Both sides hand out decoded
    documents, and each pair of answers is compared: same documents, same order. The documents
    are the same, loaded in the same order, and both tables are vacuumed and analyzed.
    """

    name = "queries"
    title = "queries on 1,000,000 documents with a declared index, PostgreSQL"
    series: ClassVar = {
        **{kind: Series(f"{kind}: Holdfast, {PAGE} documents", "ms") for kind in _KINDS},
        **{f"{kind} by hand": Series(f"{kind}: SQL by hand", "ms") for kind in _KINDS},
        "load": Series("loading the documents by execute, 1,000 saves a batch", "/s"),
    }
    goals = tuple(Goal(kind, "at most", 1.5, (f"{kind} by hand",)) for kind in _KINDS)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        total = _QUICK_ALL if bench.options.quick else _ALL
        if bench.options.quick:
            bench.note(f"--quick: only {total:,} documents")
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            database = await migrated(await enter(bench.database()))
            ours = HoldfastQueries(await enter(open_backend(database)), total)
            hand = await enter(HandQueries.connected(database, total))
            bench.stage(f"loading {total:,} documents")
            begin = perf_counter()
            await ours.load()
            rate = total / (perf_counter() - begin)
            bench.stage(f"loading {total:,} documents by hand")
            await hand.load()
            bench.stage("walking to the deep page")
            await ours.walk_to_the_deep_page()
            rounds = _QUICK_ROUNDS if bench.options.quick else _ROUNDS
            yield partial(self._measure, bench, {"": ours, " by hand": hand}, rounds, rate)

    async def _measure(
        self, bench: Bench, sides: Mapping[str, Queries], rounds: int, rate: float
    ) -> Sample:
        sample = {"load": rate}
        chosen = random.Random(rounds)
        for kind in _KINDS:
            bench.stage(kind)
            durations: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(rounds):
                number = chosen.randrange(1_000_000)
                answers: list[Documents] = []
                for side, queries in sides.items():
                    begin = perf_counter()
                    answers.append(await queries.ask(kind, number))
                    durations[side].append((perf_counter() - begin) * 1000)
                if answers[0] != answers[1] or len(answers[0]) != PAGE:
                    raise RuntimeError(f"{kind} {number}: the two sides do not agree")
            for side, values in durations.items():
                sample[kind + side] = median(values)
        return sample
