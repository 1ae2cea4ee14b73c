"""The storage seed's pattern: an ORM session and a commit per save, no bus in between.

SQLAlchemy 2.1's async ORM over asyncpg, a pool of 16 connections and 16 tasks that save, in
the benchmark's own process.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.documents import task
from benchmarks.load import Request

CONNECTIONS = 16


class Base(DeclarativeBase):
    """Of the seed's models."""


class Task(Base):
    """A task as the seed keeps it: an id, the document, when it was made and changed."""

    __tablename__ = "bench_orm_tasks"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@asynccontextmanager
async def orm_saver(url: str) -> AsyncIterator[Request]:
    """Saves one task, and returns its id."""
    address = url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(address, pool_size=CONNECTIONS, max_overflow=0)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        sessions = async_sessionmaker(engine, expire_on_commit=False)

        async def save(number: int) -> int:
            now = datetime.now(UTC)
            async with sessions() as session:
                row = Task(data=task(number), created_at=now, updated_at=now)
                session.add(row)
                await session.commit()
                return row.id

        yield save
    finally:
        await engine.dispose()
