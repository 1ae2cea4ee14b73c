"""Change events: the outbox, how far it is published, and each collection's sequence.

A process of 0001 that still runs would write without sequences and events, so nothing of it may
get through. Whatever it reads or writes in a unit begins with the heads; therefore a column of
theirs has another name from here on. The rename waits for the units that have read them already,
and who waits for it finds no column of the old name; so no unit is of both versions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RENAME_COLUMN = "ALTER TABLE holdfast_collections RENAME COLUMN last_id TO highest_id"

# Those of 0001. What takes their place must not answer to the same name and arguments.
DROP_FORMER = (
    """
DROP FUNCTION holdfast_append(
    text, bigint, bigint, bigint, bytea[], bigint[], text[], text[], bytea[], bytea[])
""",
    "DROP FUNCTION holdfast_open(boolean, text[], text[], text[], bytea[], text[], text[])",
    "DROP FUNCTION holdfast_load(text[], text[], bytea[], text[], text[])",
)

# As in 0001, but for the sequence of a head, which stands where a record has its `created_at`.
LOAD = """
CREATE FUNCTION holdfast_load_2(
    names text[], record_collections text[], record_keys bytea[],
    senders text[], message_ids text[]
) RETURNS TABLE (
    kind integer, name text, detail text, bytes bytea, body bytea,
    number bigint, created_at bigint, updated_at bigint, expires_at bigint
) LANGUAGE sql STABLE AS $$
    SELECT 0, c.name, c.slots, NULL::bytea, NULL::bytea,
           c.highest_id, c.sequence, NULL::bigint, NULL::bigint
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

# As in 0001.
OPEN = """
CREATE FUNCTION holdfast_open_2(
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
    RETURN QUERY SELECT * FROM holdfast_load_2(
        names, record_collections, record_keys, senders, message_ids);
END
$$
"""

# As in 0001, with an event for each record: its sender and message id are those of the reply in
# the same place.
APPEND = """
CREATE FUNCTION holdfast_append(
    target text, expected bigint, reached bigint, instant bigint,
    documents bytea[], expiries bigint[],
    senders text[], message_ids text[], digests bytea[], outcomes bytea[],
    expected_sequence bigint, with_events boolean
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(1752132709, 0)
       OR NOT pg_try_advisory_xact_lock(1752132708, hashtext(target)) THEN
        RETURN false;
    END IF;
    UPDATE holdfast_collections AS c
       SET highest_id = reached, sequence = expected_sequence + (reached - expected)
     WHERE c.name = target AND c.highest_id = expected AND c.sequence = expected_sequence
       AND c.slots = '[]';
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
    IF with_events THEN
        INSERT INTO holdfast_events
               (collection, sequence, kind, key, version, document, at, sender, message_id)
        SELECT target, expected_sequence + w.number, 1,
               '\\x01'::bytea || int8send(expected + w.number), 1, w.document,
               instant, coalesce(w.sender, senders[1]), w.message_id
          FROM unnest(documents, senders, message_ids)
               WITH ORDINALITY AS w (document, sender, message_id, number);
    END IF;
    RETURN true;
END
$$
"""


def upgrade() -> None:
    """Create what is new."""
    postgres = op.get_bind().dialect.name == "postgresql"
    name = sa.Text(collation="C") if postgres else sa.Text()
    op.execute(RENAME_COLUMN)
    op.add_column(
        "holdfast_collections",
        sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "holdfast_events",
        sa.Column("collection", name, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("sender", name),
        sa.Column("message_id", name),
        sa.PrimaryKeyConstraint("collection", "sequence", name="holdfast_events_pk"),
    )
    op.create_table(
        "holdfast_published",
        sa.Column("collection", name, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("collection", name="holdfast_published_pk"),
    )
    if postgres:
        for statement in (*DROP_FORMER, LOAD, OPEN, APPEND):
            op.execute(statement)


def downgrade() -> None:
    """Not supported: what was written since would lose its sequence."""
    raise NotImplementedError("the schema cannot go back to 0001")
