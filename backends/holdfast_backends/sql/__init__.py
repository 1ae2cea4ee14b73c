"""The SQL stores: one schema, two engines. Needs the extra `sqlite` or `postgres`."""
