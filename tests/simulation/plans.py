"""What an episode is to do: drawn from its seed, or read from a file.

The operations stand in the plan; the faults are drawn while it runs (their rates stand in it), or
stand in it, too: then it is exactly these.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any, Final, Literal

from tests.simulation.faults import Injected, Rates, fault_from

COLLECTIONS: Final = ("tasks", "notes")
_LOCKS: Final = ("door", "gate")
_IDS: Final = (1, 2, 3, "a", "b", 7)
Again = Literal["no", "at once", "afterwards", "elsewhere", "otherwise", "late"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One message of one worker.

    Attributes:
        client: which client process sends it, from 0; `PLAIN` for the sender that asks once.
        worker: which of its tasks; a worker's operations follow each other.
        pause: virtual seconds before it.
        again: how it is sent a second time on purpose, if it is; `otherwise` is with another
            payload, once it was answered, `late` with a deadline that has passed, beside a new
            record.
        cancel_after: virtual seconds after which it is cancelled; None for never.
        deadline: seconds from its sending; None for none.
        is_silent: whether it asks for no answer; then its effect must be there in the end, or a
            dead letter of it.
    """

    client: int
    worker: int
    id: str
    action: str
    payload: Mapping[str, Any]
    pause: float = 0.0
    again: Again = "no"
    cancel_after: float | None = None
    deadline: float | None = None
    is_silent: bool = False

    @property
    def message(self) -> Mapping[str, Any]:
        """As a history has it."""
        return {
            "id": self.id,
            "sender": SENDER,
            "recipient": "storage",
            "action": self.action,
            "payload": self.payload,
        }


PLAIN: Final = -1
SENDER: Final = "someone"
"""All clients send under this name, so that they can send each other's messages again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An episode.

    Attributes:
        seed: of the schedule, the latencies, and whatever the product draws.
        order: whether steps of tasks that are ready together change places.
        locks: whether the database locks or compares.
        agents: how many agent processes there are.
        operations: what is asked.
        rates: of faults that are drawn; unused where they are given.
        faults: exactly these; None to draw them.
        limits: of the runner, where they are not its defaults.
    """

    seed: str
    order: bool
    locks: bool
    agents: int
    operations: tuple[Operation, ...]
    rates: Mapping[str, float]
    faults: tuple[Injected, ...] | None = None
    limits: Mapping[str, int] = field(default_factory=dict)

    def with_faults(self, faults: Sequence[Injected]) -> "Plan":
        """The same plan with exactly these faults."""
        return replace(self, faults=tuple(faults))

    def with_operations(self, operations: Sequence[Operation]) -> "Plan":
        """The same plan with exactly these operations."""
        return replace(self, operations=tuple(operations))

    def fault_rates(self) -> Rates:
        """The rates by point."""
        rates = dict(self.rates)
        return Rates(rates, rates.get("other", 0.0))

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def plan_from_json(value: Mapping[str, Any]) -> Plan:
    """From a file."""
    faults = value.get("faults")
    operations = tuple(Operation(**operation) for operation in value["operations"])
    given = None if faults is None else tuple(fault_from(fault) for fault in faults)
    return Plan(**{**value, "operations": operations, "faults": given})


def draw_plan(seed: int | str) -> Plan:
    """The plan of a seed."""
    random = Random(f"plan {seed}")
    clients = random.choice([1, 2, 2, 3])
    workers = random.choice([1, 2, 4, 8])
    count = random.choice([20, 60, 150, 300])
    severity = random.choice([0.3, 1.0, 1.0, 2.0])
    return Plan(
        seed=str(seed),
        order=random.random() < 0.7,
        locks=random.random() < 0.6,
        agents=random.choice([1, 2, 2, 3]),
        operations=tuple(_operations(random, clients, workers, count)),
        rates=_rates(random, severity),
        limits=_limits(random),
    )


def _rates(random: Random, severity: float) -> dict[str, float]:
    """How likely faults are; of the kinds of points, some at a time are spared."""
    base = {
        "publish": 0.4,
        "reply": 0.3,
        "announce": 0.15,
        "receive": 0.2,
        "ack": 0.05,
        "dead-letter": 0.1,
        "open": 0.05,
        "begin": 0.05,
        "read": 0.03,
        "commit": 0.15,
        "mark": 0.1,
        "clock": 0.2,
        "weather": 0.3,
    }
    rates = {
        point: round(rate * severity * random.choice([0.0, 0.5, 1.0, 1.0, 1.5]), 4)
        for point, rate in base.items()
    }
    rates["step"] = random.choice([0.0, 0.0002, 0.001, 0.003]) * severity
    return rates


def _limits(random: Random) -> dict[str, int]:
    if random.random() < 0.5:
        return {}
    return {
        "prefetch": random.choice([1, 2, 5, 50]),
        "batch_messages": random.choice([1, 3, 20]),
        "unsettled_batches": random.choice([1, 2]),
        "side_batches": random.choice([1, 4]),
        "side_waiting": random.choice([1, 8]),
    }


def _operations(random: Random, clients: int, workers: int, count: int) -> Iterator[Operation]:
    unhurried = random.choice([0.0, 0.0, 0.05, 0.5])
    for number in range(count):
        if random.random() < 0.06:
            action, payload = _silent(random)
            client, worker = random.randrange(clients), random.randrange(workers)
            yield Operation(client, worker, f"m{number}", action, payload, is_silent=True)
            continue
        action, payload = _message(random)
        is_read = action in ("storage_get", "storage_list", "storage_query", "storage_count")
        again: Again = "no"
        if not is_read and random.random() < 0.15:
            again = random.choice(["at once", "afterwards", "elsewhere", "otherwise", "late"])
        chance = 1.0 if again == "late" else random.random()  # then it has no deadline before
        yield Operation(
            client=random.randrange(clients) if again != "no" or chance < 0.9 else PLAIN,
            worker=random.randrange(workers),
            id=f"m{number}",
            action=action,
            payload=payload,
            pause=round(unhurried * random.random() ** 2, 4),
            again=again,
            cancel_after=round(random.random() ** 3, 4) if chance < 0.03 else None,
            deadline=round(random.random() * 5, 4) if 0.03 <= chance < 0.06 else None,
        )


def _message(random: Random) -> tuple[str, dict[str, Any]]:
    chance = random.random()
    if chance < 0.12:
        return "storage_batch", _batch(random)
    if chance < 0.18:
        return _lock(random)
    action, payload = _single(random, reads=True)
    is_write = action in ("storage_save", "storage_update", "storage_delete")
    if is_write and random.random() < 0.06:
        payload["fence"] = {"lock": random.choice(_LOCKS), "token": random.randrange(1, 6)}
    return action, payload


def _silent(random: Random) -> tuple[str, dict[str, Any]]:
    """A save, which cannot fail, or a message that is refused whatever is kept."""
    collection = random.choice(COLLECTIONS)
    if random.random() < 0.2:
        return "storage_forget", {"collection": collection}
    return "storage_save", {"collection": collection, "task": {"title": _text(random), "hits": 1}}


def _lock(random: Random) -> tuple[str, dict[str, Any]]:
    """Tokens are guessed: they begin at 1, so that some of the guesses are right."""
    payload: dict[str, Any] = {"name": random.choice(_LOCKS)}
    chance = random.random()
    if chance >= 0.5:
        payload["token"] = random.randrange(1, 6)
    if chance >= 0.75:
        return "lock_release", payload
    payload["lease_seconds"] = random.choice([0.2, 1.0, 5.0, 30.0])
    return ("lock_acquire" if chance < 0.5 else "lock_renew"), payload


def _batch(random: Random) -> dict[str, Any]:
    collection = random.choice(COLLECTIONS)
    operations = []
    for _ in range(random.choice([1, 2, 3, 6])):
        action, payload = _single(random, reads=False)
        if random.random() < 0.7:
            payload["collection"] = collection
        if isinstance(payload.get("task_id", payload.get("task", {}).get("id")), int):
            # An id that the batch itself gave out before: nobody can tell which version it has.
            payload.pop("if_version", None)
        operations.append({"action": action, "payload": payload})
    return {
        "operations": operations,
        "atomic": random.random() < 0.6,
        "collection": collection,
    }


def _single(random: Random, *, reads: bool) -> tuple[str, dict[str, Any]]:
    payload: dict[str, Any] = {"collection": random.choice(COLLECTIONS)}
    chance = random.random()
    if chance < 0.25:
        payload["task"] = {"title": _text(random), "hits": random.randrange(5)}
        return "storage_save", payload
    if reads and chance > 0.95:
        payload |= {"limit": random.choice([2, 5, 100]), "with_meta": True}
        return "storage_list", payload
    if reads and chance > 0.92:
        return "storage_count", payload | {"filters": {"hits": {"$gte": 2}}}
    record_id = random.choice(_IDS)
    if chance < 0.40:
        payload["task"] = {"id": record_id, "title": _text(random), "hits": 0, "notes": []}
        if random.random() < 0.3:
            payload["if_version"] = random.choice([0, 0, 1, 2])
        return "storage_save", payload
    payload["task_id"] = record_id
    if chance < 0.55:
        return "storage_get", payload
    if chance < 0.63:
        if random.random() < 0.3:
            payload["if_version"] = random.choice([1, 2, 3])
        return "storage_delete", payload
    match random.randrange(4):
        case 0:
            payload["changes"] = {"title": _text(random), "owner": {"name": _text(random)}}
        case 1:
            payload["append"] = {"notes": [random.randrange(100)]}
        case _:
            payload["increment"] = {"hits": 1}
    if random.random() < 0.2:
        payload["if_version"] = random.choice([1, 2, 3])
    return "storage_update", payload


def _text(random: Random) -> str:
    return f"w{random.randrange(1000)}"
