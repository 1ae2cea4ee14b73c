"""Where a database's schema is, and whether this version can work on it. Without Alembic."""

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast_backends.errors import SchemaError

from .schema import REVISIONS, VERSION_TABLE


def expected_revision() -> str:
    """The revision that this version of Holdfast works on."""
    return REVISIONS[-1]


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision of a database; None where there is no schema of ours.

    Raises:
        The driver's exceptions, for the caller to translate.
    """
    async with engine.connect() as connection:
        return await connection.run_sync(read_revision)


def read_revision(connection: Connection) -> str | None:
    """The revision of a connection's database; None where there is no schema of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    # The table's name is a constant of ours: nothing from outside stands in this text.
    row = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).first()  # noqa: S608
    return None if row is None else str(row[0])


def check_revision(revision: str | None) -> None:
    """Refuse a schema that this version does not know.

    Raises:
        SchemaError: it is missing, older or newer; the text says what to do.
    """
    if revision == expected_revision():
        return
    if revision is None:
        raise SchemaError("the store has no schema yet; run `holdfast migrate`")
    refuse_newer(revision)
    raise SchemaError("the store's schema is older than this version; run `holdfast migrate`")


def refuse_newer(revision: str | None) -> None:
    """Refuse what a later version of Holdfast made.

    Raises:
        SchemaError: the revision is none that this version knows.
    """
    if revision is not None and revision not in REVISIONS:
        raise SchemaError("the store's schema is newer than this version; upgrade holdfast")
