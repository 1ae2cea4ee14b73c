"""The tables of the first version, and PostgreSQL's functions for the way of a write."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# One statement for three kinds of rows (0 a head, 1 a record, 2 a stored reply), because each
# statement costs a round trip. An array of names that are all equal comes with one element:
# `unnest` fills it up with NULL.
LOAD = """
CREATE FUNCTION holdfast_load(
    names text[], record_collections text[], record_keys bytea[],
    senders text[], message_ids text[]
) RETURNS TABLE (
    kind integer, name text, detail text, bytes bytea, body bytea,
    number bigint, created_at bigint, updated_at bigint, expires_at bigint
) LANGUAGE sql STABLE AS $$
    SELECT 0, c.name, c.slots, NULL::bytea, NULL::bytea,
           c.last_id, NULL::bigint, NULL::bigint, NULL::bigint
      FROM unnest(names) AS w (name)
      JOIN holdfast_collections AS c ON c.name = w.name
    UNION ALL
    SELECT 1, r.collection, NULL, r.key, r.document,
           r.version, r.created_at, r.updated_at, r.expires_at
      FROM unnest(record_collections, record_keys) AS w (collection, key)
      JOIN holdfast_records AS r
        ON r.collection = coalesce(w.collection, record_collections[1]) AND r.key = w.key
    UNION ALL
    SELECT 2, m.sender, m.message_id, m.digest, m.outcome,
           m.at, NULL, NULL, NULL
      FROM unnest(senders, message_ids) AS w (sender, message_id)
      JOIN holdfast_messages AS m
        ON m.sender = coalesce(w.sender, senders[1]) AND m.message_id = w.message_id
$$
"""

# VOLATILE: under READ COMMITTED each of its statements sees what was committed before it, so
# the load sees what the holder of the lock committed. Locks are taken in the order of their
# numbers, by everybody, and last until the transaction ends. The constants are b"hold" and
# b"hole": a place for us among the advisory locks of the database.
OPEN = """
CREATE FUNCTION holdfast_open(
    everything boolean, locked text[],
    names text[], record_collections text[], record_keys bytea[],
    senders text[], message_ids text[]
) RETURNS TABLE (
    kind integer, name text, detail text, bytes bytea, body bytea,
    number bigint, created_at bigint, updated_at bigint, expires_at bigint
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    lock_number integer;
BEGIN
    IF everything THEN
        PERFORM pg_advisory_xact_lock(1752132709, 0);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(1752132709, 0);
        FOR lock_number IN SELECT DISTINCT hashtext(n) FROM unnest(locked) AS n ORDER BY 1
        LOOP
            PERFORM pg_advisory_xact_lock(1752132708, lock_number);
        END LOOP;
    END IF;
    RETURN QUERY SELECT * FROM holdfast_load(
        names, record_collections, record_keys, senders, message_ids);
END
$$
"""

# What most writes are, as one statement and its own transaction: new records under the next
# integers of one collection without indexes (so their keys follow from `expected`). It commits
# nothing and answers false when the collection is not as expected or somebody holds its lock; a
# message id that was used before violates the key of the messages.
APPEND = """
CREATE FUNCTION holdfast_append(
    target text, expected bigint, reached bigint, instant bigint,
    documents bytea[], expiries bigint[],
    senders text[], message_ids text[], digests bytea[], outcomes bytea[]
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(1752132709, 0)
       OR NOT pg_try_advisory_xact_lock(1752132708, hashtext(target)) THEN
        RETURN false;
    END IF;
    UPDATE holdfast_collections AS c SET last_id = reached
     WHERE c.name = target AND c.last_id = expected AND c.slots = '[]';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO holdfast_records
           (collection, key, version, document, created_at, updated_at, expires_at)
    SELECT target, '\\x01'::bytea || int8send(expected + w.number), 1, w.document,
           instant, instant, w.expires_at
      FROM unnest(documents, expiries) WITH ORDINALITY AS w (document, expires_at, number);
    INSERT INTO holdfast_messages (sender, message_id, digest, outcome, at)
    SELECT coalesce(w.sender, senders[1]), w.message_id, w.digest, w.outcome, instant
      FROM unnest(senders, message_ids, digests, outcomes)
           AS w (sender, message_id, digest, outcome);
    RETURN true;
END
$$
"""


def upgrade() -> None:
    """Create everything."""
    postgres = op.get_bind().dialect.name == "postgresql"
    name = sa.Text(collation="C") if postgres else sa.Text()
    _create_tables(name)
    _create_indexes()
    if postgres:
        op.execute(LOAD)
        op.execute(OPEN)
        op.execute(APPEND)


def downgrade() -> None:
    """There is nothing before the first version."""
    raise NotImplementedError("there is no schema before 0001")


def _create_tables(name: sa.Text) -> None:
    op.create_table(
        "holdfast_collections",
        sa.Column("name", name, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("slots", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="holdfast_collections_pk"),
    )
    op.create_table(
        "holdfast_records",
        sa.Column("collection", name, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        *(sa.Column(f"i{number}", sa.LargeBinary) for number in range(16)),
        sa.PrimaryKeyConstraint("collection", "key", name="holdfast_records_pk"),
    )
    op.create_table(
        "holdfast_messages",
        sa.Column("sender", name, nullable=False),
        sa.Column("message_id", name, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("outcome", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("message_id", "sender", name="holdfast_messages_pk"),
    )


def _create_indexes() -> None:
    for number in range(16):
        _create_index(
            f"holdfast_records_i{number}",
            ["collection", f"i{number}", "key"],
            only=f"i{number} IS NOT NULL",
        )
    _create_index(
        "holdfast_records_expiry",
        ["expires_at"],
        only="expires_at IS NOT NULL AND document IS NOT NULL",
    )
    op.create_index("holdfast_messages_at", "holdfast_messages", ["at"])


def _create_index(name: str, columns: list[str], *, only: str) -> None:
    where = sa.text(only)
    op.create_index(name, "holdfast_records", columns, postgresql_where=where, sqlite_where=where)
