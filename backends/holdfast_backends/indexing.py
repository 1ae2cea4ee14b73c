"""Building declared indexes online: a pass over the live rows, a bounded chunk at a time.

Writers keep the entries of their own rows from the moment an index is declared; the pass adds
those of the rows that were there before. Each chunk is one short unit, so writers wait little.
Several processes may build the same index at once: it only costs, it does no harm.
"""

from dataclasses import replace

from .store import Changes, CommitConflictError, Head, IndexSlot, RowChange, Span, Store, Wanted

_CHUNK_ROWS = 200


async def build_indexes(store: Store, collection: str) -> None:
    """Bring every declared index of a collection to `ready`. Returns when all are.

    Raises:
        UnavailableError: the store cannot be reached; begin again later.
    """
    pending: tuple[IndexSlot, ...] = ()
    after: bytes | None = None
    while True:
        try:
            step = await _build_chunk(store, collection, pending, after)
        except CommitConflictError:
            continue
        if step is None:
            return
        pending, after = step


async def _build_chunk(
    store: Store, collection: str, pending: tuple[IndexSlot, ...], after: bytes | None
) -> tuple[tuple[IndexSlot, ...], bytes | None] | None:
    async with store.write([collection]) as unit:
        loaded = await unit.load(Wanted([collection], [], []))
        head = loaded.heads.get(collection, Head())
        unready = tuple(slot for slot in head.slots if not slot.ready)
        if not unready:
            return None
        if not set(unready) <= set(pending):
            after = None  # another index was declared meanwhile: its pass begins at the first row
        place = None if after is None else (b"", after)
        rows = await unit.scan(Span(collection, after=place), _CHUNK_ROWS)
        changes = Changes(slots={collection: head.slots})
        changes.rows = {(collection, row.key): RowChange(row, row) for row in rows}
        is_last = len(rows) < _CHUNK_ROWS
        if is_last:
            slots = tuple(replace(slot, ready=True) for slot in head.slots)
            changes.heads[collection] = Head(head.next_id, slots)
        await unit.commit(changes)
        return None if is_last else (unready, rows[-1].key)
