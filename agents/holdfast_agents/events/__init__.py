"""Publishing change events: one process at a time, in sequence, from the outbox."""
