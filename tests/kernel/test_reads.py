"""A read sees its caller's rows and no other's, changes nothing, and leaves nothing behind in the pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
import sqlalchemy.exc
from recoup.sample.v1.sample_pb2 import OpenBook
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.databases import Database
from kernel.clock import RealClock
from kernel.execute import Executor, Request
from kernel.reads import engine_of, reading
from kernel.store import PostgresStore
from kernel.tenancy import NO_TENANT, Caller
from tests.kernel.sample import project
from tests.kernel.support import INPUT_KEY, LEDGER

ANN = Caller(UUID(int=1), None, "ann", "credential-1", frozenset())
CLIENT = Caller(UUID(int=1), "client-1", "cy", "credential-2", frozenset())
EVE = Caller(UUID(int=2), None, "eve", "credential-3", frozenset())
NOBODY = Caller(NO_TENANT, None, "service:audit", "service:audit", frozenset({"log:read"}))


@pytest.fixture
async def engine(sample_database: Callable[..., Database]) -> AsyncIterator[AsyncEngine]:
    """A database with one book of Ann's agency and one of Eve's."""
    database = sample_database()
    store = await PostgresStore.open(database.url, database.reader_url, RealClock())
    executor = Executor("sample", [LEDGER], store, RealClock(), project, INPUT_KEY)
    for number, caller in enumerate((ANN, EVE)):
        command = OpenBook(book_id=str(UUID(int=number)), client="client-1")
        await executor.execute(Request(command, "open", caller, uuid4()))
    await store.close()
    engine = engine_of(database.url)
    yield engine
    await engine.dispose()


async def books(engine: AsyncEngine, caller: Caller) -> list[str]:
    async with reading(engine, caller) as connection:
        return [row.book_id for row in await connection.execute(text("SELECT book_id FROM views.book"))]


async def test_each_caller_sees_its_own_tenant(engine: AsyncEngine) -> None:
    assert await books(engine, ANN) == [str(UUID(int=0))]
    assert await books(engine, EVE) == [str(UUID(int=1))]
    assert await books(engine, NOBODY) == []


async def test_a_policy_can_read_the_client(engine: AsyncEngine) -> None:
    for caller, client in ((CLIENT, "client-1"), (ANN, "")):
        async with reading(engine, caller) as connection:
            assert await connection.scalar(text("SELECT current_setting('recoup.client')")) == client


async def test_a_read_changes_nothing(engine: AsyncEngine) -> None:
    with pytest.raises(sqlalchemy.exc.InternalError, match="read-only"):
        async with reading(engine, ANN) as connection:
            await connection.execute(text("DELETE FROM views.book"))
    assert len(await books(engine, ANN)) == 1


async def test_a_pooled_connection_remembers_nobody(engine: AsyncEngine) -> None:
    await books(engine, ANN)
    async with engine.connect() as connection:
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            await connection.execute(text("SELECT book_id FROM views.book"))
