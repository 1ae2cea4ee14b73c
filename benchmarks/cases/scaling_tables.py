"""The tables of a migrated PostgreSQL database, turned into hash-partitioned ones."""

from typing import Final

import asyncpg

PARTITIONS: Final = 16

_TABLES: Final = {
    "holdfast_records": ("collection, key", "collection"),
    "holdfast_messages": ("message_id, sender", "message_id"),
    "holdfast_events": ("collection, sequence", "collection"),
}
"""The primary key of each, and what is hashed: a part of the key, as PostgreSQL demands."""

_INDEXES: Final = (
    *(
        f"CREATE INDEX holdfast_records_i{slot} ON holdfast_records (collection, i{slot}, key)"
        f" WHERE i{slot} IS NOT NULL"
        for slot in range(16)
    ),
    """CREATE INDEX holdfast_records_expiry ON holdfast_records (expires_at)
       WHERE expires_at IS NOT NULL AND document IS NOT NULL""",
    "CREATE INDEX holdfast_messages_at ON holdfast_messages (at)",
)


async def partitioned(database: str) -> None:
    """Partition the tables of a migrated database that holds nothing and that nobody uses."""
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            for statement in statements():
                await connection.execute(statement)
    finally:
        await connection.close()


def statements() -> list[str]:
    """What an operator would run, in one transaction."""
    made = []
    for table, (key, hashed) in _TABLES.items():
        made += [
            f"ALTER TABLE {table} RENAME TO {table}_plain",
            f"""CREATE TABLE {table} (LIKE {table}_plain INCLUDING DEFAULTS)
                PARTITION BY HASH ({hashed})""",
            f"DROP TABLE {table}_plain",
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_pk PRIMARY KEY ({key})",
            *(
                f"CREATE TABLE {table}_p{number} PARTITION OF {table}"
                f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
                for number in range(PARTITIONS)
            ),
        ]
    return [*made, *_INDEXES]
