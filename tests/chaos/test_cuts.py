"""Connections that are cut at every bad moment, slow, silent or out of order: nothing is lost.

The short form cuts once at each point, a third of them before each backend; the long form cuts
at each point several times before each backend, with two agent processes that compete.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from tests.acceptance.stores import DURABLE
from tests.chaos.faults.contract import Fault
from tests.chaos.faults.cuts import OF_AMQP, OF_STORES, CutAt, drawn
from tests.chaos.faults.latency import Reorder, SlowDown, Swallow, Throttle
from tests.chaos.forms import by_form, is_long
from tests.chaos.proxied import Proxied, proxied
from tests.chaos.proxy.rules import Point, When
from tests.chaos.proxy.tcp import TcpProxy

pytestmark = pytest.mark.amqp

T = TypeVar("T")

_SEED = 20261120
_BACKENDS = ("postgres", "sqlite", "redis")
_PROCESSES: Sequence[dict[str, str]] = by_form([{}], [{}, {}])
_WHILE = by_form((0.3, 0.4), (1.0, 5.0))  # seconds that a path is slow
_COMES_WITHIN = 20.0  # seconds for the n-th thing, on a busy machine


def _share(kind: str, cuts: Sequence[T]) -> list[T]:
    """The cuts of a backend, in an order drawn."""
    if is_long():
        return Random(_SEED).sample(cuts, len(cuts), counts=[4] * len(cuts))
    return Random(_SEED).sample(cuts, len(cuts))[_BACKENDS.index(kind) :: len(_BACKENDS)]


def _paths(service: Proxied) -> dict[str, TcpProxy]:
    paths: dict[str, TcpProxy] = {"agents": service.agents, "clients": service.clients}
    return paths | ({"store": service.store} if service.store is not None else {})


def _slow(service: Proxied, kind: str) -> list[Fault]:
    """Paths that are slow, silent or out of order: all, or a backend's share of them."""
    faults: list[Fault] = [
        Reorder(service.agents, "agents", seconds=_WHILE),
        Reorder(service.clients, "clients", seconds=_WHILE),
    ]
    kinds = (SlowDown, Swallow, Throttle)
    for place, (name, path) in enumerate(_paths(service).items()):
        chosen = kinds if is_long() else (kinds[(place + _BACKENDS.index(kind)) % len(kinds)],)
        faults += [kind_of(path, name, seconds=_WHILE) for kind_of in chosen]
    return faults


@pytest.mark.parametrize("kind", DURABLE)
async def test_nothing_is_lost_between_clients_broker_agents_and_store(
    kind: str, amqp_url: str, tmp_path: Path
) -> None:
    random = Random(_SEED)
    cuts: list[tuple[str, Point, When]] = list(product(("agents", "clients"), OF_AMQP, When))
    store_cuts: list[tuple[str, Point, When]] = list(product(("store",), OF_STORES, When))
    async with proxied(amqp_url, kind, tmp_path, _SEED, _PROCESSES) as service:
        paths = _paths(service)
        chosen = _share(kind, cuts) + (_share(kind, store_cuts) if service.store else [])
        for path, point, when in random.sample(chosen, len(chosen)):
            fault = CutAt(paths[path], drawn(random, point, when), patience=_COMES_WITHIN)
            await service.by(fault, random)
            assert not fault.missed, f"no {point} of the {path} came by"
        for slow in _slow(service, kind):
            await service.by(slow, random)
        assert service.agents.shuffle.swapped + service.clients.shuffle.swapped
