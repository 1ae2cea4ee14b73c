"""Building declared indexes online: a pass over the live rows, a bounded chunk at a time.

Writers keep the entries of their own rows from the moment an index is declared; the pass adds
those of the rows that were there before. Each chunk is one short unit, so writers wait little;
it is larger than what a writer usually adds in its turn, so that the pass gets ahead of them.
Several processes may build the same index at once: it only costs, it does no harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .store import (
    Changes,
    CommitConflictError,
    Head,
    IndexSlot,
    Row,
    RowChange,
    Span,
    Store,
    Unit,
    Wanted,
)

_FIRST_CHUNK_ROWS = 200
_MAX_CHUNK_ROWS = 2_000
_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass has come: for which indexes, behind which key, how many rows next."""

    slots: tuple[IndexSlot, ...] = ()
    after: bytes | None = None
    rows: int = _FIRST_CHUNK_ROWS


async def build_indexes(store: Store, collection: str) -> None:
    """Bring every declared index of a collection to `ready`. Returns when all are.

    Raises:
        UnavailableError: the store cannot be reached; begin again later.
    """
    progress: Progress | None = Progress()
    while progress is not None:
        try:
            async with store.write([collection]) as unit:
                progress = await build_chunk(unit, collection, progress)
        except CommitConflictError:
            continue


async def build_chunk(unit: Unit, collection: str, progress: Progress) -> Progress | None:
    """Add the entries of some more rows; None when no index is left to build."""
    loaded = await unit.load(Wanted([collection], [], []))
    head = loaded.heads.get(collection, Head())
    unready = tuple(slot for slot in head.slots if not slot.ready)
    if not unready:
        return None
    if not set(unready) <= set(progress.slots):
        # Another index was declared meanwhile: the pass for it begins at the first row.
        progress = replace(progress, slots=unready, after=None)
    after = None if progress.after is None else (b"", progress.after)
    rows = await unit.scan(Span(collection, after=after), progress.rows)
    changes = Changes(slots={collection: head.slots})
    changes.rows = {(collection, row.key): RowChange(row, row) for row in rows}
    is_last = len(rows) < progress.rows
    if is_last:
        slots = tuple(replace(slot, ready=True) for slot in head.slots)
        changes.heads[collection] = Head(head.next_id, slots, head.sequence)
    await unit.commit(changes)
    return None if is_last else replace(progress, after=rows[-1].key, rows=_next_size(rows))


def _next_size(rows: Sequence[Row]) -> int:
    average = sum(len(row.document or b"") for row in rows) // len(rows) + 1
    return max(1, min(_MAX_CHUNK_ROWS, _CHUNK_BYTES // average))
