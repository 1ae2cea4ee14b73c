"""What Alembic runs: all outstanding revisions on a connection that the caller opened.

`migrate.py` calls it with `config.attributes["connection"]`. One transaction for all of them:
a database is never left between two revisions.
"""

from alembic import context
from sqlalchemy import Connection

from holdfast_backends.sql.schema import VERSION_TABLE, metadata


def run_migrations() -> None:
    """Bring the connection's database to the wanted revision."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run_migrations()
