"""Stores for tests: what they are opened with, and their schema."""

from holdfast_backends.opening import BackendOptions

_POSTGRES = ("postgres://", "postgresql://")


def lenient_options() -> BackendOptions:
    """A test's store may lose what it holds; the Redis of a test machine usually would."""
    return BackendOptions(allow_unsafe=True)


async def prepared(url: str) -> None:
    """Give a PostgreSQL database its schema; the others make their own.

    Raises:
        StorageError: the database cannot be reached, or is of a later version.
    """
    if url.startswith(_POSTGRES):
        from holdfast_backends.sql.migrate import migrate

        await migrate(url)
