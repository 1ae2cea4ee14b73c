"""The Alembic environment: how a database comes from one schema to the next."""
