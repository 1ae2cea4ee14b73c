"""Change events: the outbox, how far it is published, and each collection's sequence."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# As in 0001, but for the sequence of a head, which stands where a record has its `created_at`.
LOAD = """
CREATE OR REPLACE FUNCTION holdfast_load(
    names text[], record_collections text[], record_keys bytea[],
    senders text[], message_ids text[]
) RETURNS TABLE (
    kind integer, name text, detail text, bytes bytea, body bytea,
    number bigint, created_at bigint, updated_at bigint, expires_at bigint
) LANGUAGE sql STABLE AS $$
    SELECT 0, c.name, c.slots, NULL::bytea, NULL::bytea,
           c.last_id, c.sequence, NULL::bigint, NULL::bigint
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

# The function of 0001 knows no events: a process of that version must not write any more.
DROP_APPEND = """
DROP FUNCTION holdfast_append(
    text, bigint, bigint, bigint, bytea[], bigint[], text[], text[], bytea[], bytea[])
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
       SET last_id = reached, sequence = expected_sequence + (reached - expected)
     WHERE c.name = target AND c.last_id = expected AND c.sequence = expected_sequence
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
        op.execute(LOAD)
        op.execute(DROP_APPEND)
        op.execute(APPEND)


def downgrade() -> None:
    """Not supported: what was written since would lose its sequence."""
    raise NotImplementedError("the schema cannot go back to 0001")
