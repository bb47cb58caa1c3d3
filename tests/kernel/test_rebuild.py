"""Read tables are rebuilt from the log while the service writes on, and no fact is without its row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from recoup.sample.v1.sample_pb2 import OpenBook, PostEntry

from deploy.local.databases import Database
from kernel.append import heard_of
from kernel.clock import RealClock
from kernel.project import Key, Row, apply_in_memory
from kernel.rebuild import RebuildRefused, Rebuilt, rebuild
from kernel.store import PostgresStore
from tests.kernel.sample import BOOK, project
from tests.kernel.worlds import CALLERS, NORTH, SOUTH, World, book_id, postgres_world, request

TYPES = {str(fact.DESCRIPTOR.full_name): fact for fact in BOOK.facts}


@pytest.fixture
async def world(sample_database: Callable[..., Database]) -> AsyncIterator[World]:
    made = await postgres_world(sample_database(), RealClock())
    yield made
    await made.store.close()


async def rebuilt(world: World) -> Rebuilt:
    database = world.database
    assert database is not None
    return await asyncio.to_thread(rebuild, database.migrator_url, database.reader_url, [BOOK], project)


@contextmanager
def as_migrator(world: World) -> Iterator[psycopg.Connection[Any]]:
    assert world.database is not None
    with psycopg.connect(world.database.migrator_url, autocommit=True) as connection:
        yield connection


async def fresh_fold(world: World) -> MutableMapping[Key, Row]:
    """The rows that the log comes to, folded here."""
    store = world.store
    assert isinstance(store, PostgresStore)
    rows: dict[str, MutableMapping[Key, Row]] = {}
    for partition in range(store.partitions):
        async for page in store.read_log(partition):
            for record in page:
                fact = heard_of(TYPES[record.type].FromString(record.payload), record)
                apply_in_memory(project(fact), store.tables, rows)
    return rows["views.book"]


def compared(row: Row) -> tuple[object, ...]:
    return tuple(str(row[name]) for name in ("tenant", "book_id", "client", "balance_minor", "version", "number"))


async def test_a_rebuild_while_writers_write_loses_no_row_and_equals_a_fresh_fold(world: World) -> None:
    books = [book_id(n) for n in range(40)]
    for (tenant, client), caller in CALLERS.items():
        own = books if client == "alpha" else [book_id(n + 100) for n in range(40)]
        opened = await world.executor.execute_many(
            [request(OpenBook(book_id=book, client=client), caller=caller) for book in own]
        )
        assert not any(isinstance(answer, Exception) for answer in opened), tenant
    writing = True

    async def write(number: int) -> int:
        written = 0
        while writing:
            await world.executor.execute(request(PostEntry(book_id=books[number], amount_minor=1)))
            if written % 20 == 0:
                new = OpenBook(book_id=book_id(1000 * (number + 1) + written), client="alpha")
                await world.executor.execute(request(new))
            written += 1
        return written

    writers = [asyncio.create_task(write(number)) for number in range(12)]
    await asyncio.sleep(0.2)
    results = [await rebuilt(world) for _ in range(6)]
    await asyncio.sleep(0.2)
    writing = False
    assert all(count > 20 for count in await asyncio.gather(*writers))
    assert any(result.records_locked for result in results), "nobody wrote meanwhile: the test proves nothing"
    assert results[0].tables == ["views.book"]
    live = {compared(row) for tenant in (NORTH, SOUTH) for row in world.rows(tenant).values()}
    assert live == {compared(row) for row in (await fresh_fold(world)).values()}


async def test_the_new_tables_have_the_old_ones_policies_privileges_and_indexes(world: World) -> None:
    await world.executor.execute(request(OpenBook(book_id=book_id(1), client="alpha")))
    facts = {
        "policies": "SELECT tablename, policyname, permissive, cmd, roles, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'views' ORDER BY 1, 2",
        "rows": "SELECT relname, relrowsecurity, relforcerowsecurity, relacl::text FROM pg_class"
        " WHERE relnamespace = 'views'::regnamespace AND relkind = 'r'",
        "indexes": "SELECT regexp_replace(indexdef, ' INDEX \\w+ ', ' ') FROM pg_indexes"
        " WHERE schemaname = 'views' ORDER BY 1",
        "schema": "SELECT nspacl::text FROM pg_namespace WHERE nspname = 'views'",
    }
    with as_migrator(world) as owner:
        before = {name: owner.execute(query).fetchall() for name, query in facts.items()}
        await rebuilt(world)
        assert {name: owner.execute(query).fetchall() for name, query in facts.items()} == before
        schemas = owner.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'views%'").fetchall()
        assert schemas == [("views",)]
    assert set(world.rows(NORTH)) == {book_id(1)}
    assert world.rows(SOUTH) == {}


async def test_damaged_rows_are_whole_after_a_rebuild(world: World) -> None:
    await world.executor.execute(request(OpenBook(book_id=book_id(1), client="alpha")))
    await world.executor.execute(request(PostEntry(book_id=book_id(1), amount_minor=5)))
    with as_migrator(world) as owner:
        owner.execute("ALTER TABLE views.book NO FORCE ROW LEVEL SECURITY; DELETE FROM views.book")
        owner.execute("ALTER TABLE views.book FORCE ROW LEVEL SECURITY")
    assert world.rows(NORTH) == {}
    assert (await rebuilt(world)).records == 2
    assert world.rows(NORTH)[book_id(1)]["balance_minor"] == 5


async def test_what_a_rebuild_would_lose_refuses_it(world: World) -> None:
    with as_migrator(world) as owner:
        owner.execute("CREATE VIEW views.rich AS SELECT * FROM views.book WHERE balance_minor > 100")
    with pytest.raises(RebuildRefused, match="the view rich"):
        await rebuilt(world)


async def test_one_rebuild_at_a_time(world: World) -> None:
    with as_migrator(world) as owner:
        owner.execute("SELECT pg_advisory_lock(7265636)")
        with pytest.raises(RebuildRefused, match="another rebuild"):
            await rebuilt(world)


async def test_a_rebuild_that_died_leaves_the_live_tables_and_does_not_hinder_the_next(world: World) -> None:
    await world.executor.execute(request(OpenBook(book_id=book_id(1), client="alpha")))
    with as_migrator(world) as owner:
        owner.execute("CREATE SCHEMA views_next; CREATE TABLE views_next.book (half integer)")
    assert set(world.rows(NORTH)) == {book_id(1)}
    await rebuilt(world)
    assert set(world.rows(NORTH)) == {book_id(1)}
