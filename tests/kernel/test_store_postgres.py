"""What PostgreSQL itself must hold: who may do what to the log, and what a batch does when something goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors
from recoup.event.v1.answer_pb2 import Answer
from recoup.sample.v1.sample_pb2 import BookOpened, EntryPosted, OpenBook, PostEntry

import kernel.store
import kernel.writer
from deploy.local.databases import Database
from kernel.append import Committed, Conflicted, Decided, Fact
from kernel.clock import RealClock, SimulatedClock
from kernel.decider import Heard
from kernel.execute import Executor, Overloaded, StartRefused, Unavailable
from kernel.memory import MemoryStore
from kernel.project import RowChange
from kernel.record import ZERO_HASH, chain_next, chain_start, partition_of, record_hash
from kernel.store import PostgresStore, connect
from kernel.tenancy import Caller
from tests.kernel.sample import BOOK, project
from tests.kernel.worlds import ALPHA, INPUT_KEY, NORTH, SOUTH, SOUTH_ALPHA, World, book_id, postgres_world, request

A, B = book_id(1), book_id(2)


@pytest.fixture
def database(sample_database: Callable[..., Database]) -> Database:
    return sample_database()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await postgres_world(database, RealClock())
    yield made
    await made.store.close()


@contextmanager
def as_role(url: str, *, tenant: object = None) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of a role, for a tenant when one is named."""
    with psycopg.connect(url) as connection:
        if tenant is not None:
            connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{tenant}}}"])
        yield connection


def url_of(database: Database, role: str) -> str:
    return {"service": database.url, "reader": database.reader_url, "migrator": database.migrator_url}[role]


async def opened(world: World, *books: str, caller: Caller = ALPHA) -> None:
    requests = [request(OpenBook(book_id=book, client="alpha"), caller=caller) for book in books]
    for answer in await world.executor.execute_many(requests):
        assert isinstance(answer, Answer), answer


# Who may do what.


@pytest.mark.parametrize("role", ["service", "reader", "migrator"])
@pytest.mark.parametrize("table", ["events", "commands"])
@pytest.mark.parametrize(
    "change", ["UPDATE log.{} SET stream = 'x'", "DELETE FROM log.{}", "TRUNCATE log.{}", "TRUNCATE log.heads CASCADE"]
)
async def test_no_role_changes_what_is_recorded(world: World, role: str, table: str, change: str) -> None:
    await opened(world, A)
    assert world.database is not None
    with as_role(url_of(world.database, role), tenant=NORTH) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(change.format(table))


@pytest.mark.parametrize("role", ["service", "reader"])
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE log.events DISABLE TRIGGER append_only",
        "ALTER TABLE log.events NO FORCE ROW LEVEL SECURITY",
        "DROP TABLE log.events CASCADE",
        "DROP POLICY tenants ON log.events",
        "CREATE TABLE log.mine (x int)",
        "SET session_replication_role = replica",
        "UPDATE log.meta SET clock = 'simulated'",
        "DELETE FROM log.heads",
        "CREATE SCHEMA mine",
    ],
)
def test_no_role_of_a_process_alters_the_log(database: Database, role: str, change: str) -> None:
    with as_role(url_of(database, role)) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(change)


@pytest.mark.parametrize(
    "change", ["INSERT INTO log.heads VALUES (99, -1, '', now())", "UPDATE log.heads SET number = 9"]
)
def test_the_reader_adds_nothing(database: Database, change: str) -> None:
    with as_role(database.reader_url) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(change)


@pytest.mark.parametrize("table", ["log.events", "log.commands", "views.book"])
@pytest.mark.parametrize("role", ["service", "migrator"])
async def test_a_forgotten_tenant_is_an_error_and_never_no_rows(world: World, table: str, role: str) -> None:
    await opened(world, A)
    assert world.database is not None
    with as_role(url_of(world.database, role)) as connection, pytest.raises(errors.UndefinedObject):
        connection.execute(f"SELECT * FROM {table}")


async def test_a_setting_does_not_outlive_its_transaction(world: World) -> None:
    await opened(world, A)
    assert world.database is not None
    with connect(world.database.url) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{NORTH}}}"])
            assert len(connection.execute("SELECT * FROM log.events").fetchall()) == 1
        with pytest.raises(errors.InvalidTextRepresentation):
            connection.execute("SELECT * FROM log.events")


async def test_a_role_sees_and_adds_the_named_tenants_only(world: World) -> None:
    await opened(world, A)
    await opened(world, A, B, caller=SOUTH_ALPHA)
    assert world.database is not None
    for tenant, count in ((NORTH, 1), (SOUTH, 2)):
        for table in ("log.events", "log.commands", "views.book"):
            with as_role(world.database.url, tenant=tenant) as connection:
                found = connection.execute(f"SELECT * FROM {table}").fetchall()
                assert len(found) == count
    with as_role(world.database.reader_url) as connection:
        assert len(connection.execute("SELECT * FROM log.events").fetchall()) == 3
    stolen = "INSERT INTO log.commands VALUES (%s, gen_random_uuid(), %s, 'x', 1, '')"
    with as_role(world.database.url, tenant=NORTH) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(stolen, [SOUTH, bytes(32)])


@pytest.mark.parametrize("role", ["admin", "migrator", "bypassing"])
async def test_a_store_refuses_to_start_with_a_role_that_could_alter_the_log(database: Database, role: str) -> None:
    url = {"admin": database.admin_url, "migrator": database.migrator_url, "bypassing": database.url}[role]
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        if role == "bypassing":
            admin.execute("ALTER ROLE recoup_sample BYPASSRLS")
        try:
            with pytest.raises(StartRefused, match="superuser" if role == "admin" else "owns|bypasses"):
                await PostgresStore.open(url, database.reader_url, RealClock())
            with pytest.raises(StartRefused):
                await PostgresStore.open(database.url, url, RealClock())
        finally:
            admin.execute("ALTER ROLE recoup_sample NOBYPASSRLS")


async def test_a_store_refuses_a_log_of_another_clock(database: Database) -> None:
    with pytest.raises(StartRefused, match="keeps real time"):
        await PostgresStore.open(database.url, database.reader_url, SimulatedClock())


# Whose fault is whose.


def caller_named(actor: str) -> Caller:
    return Caller(NORTH, "alpha", actor, "credential", frozenset())


async def test_a_nul_byte_of_one_caller_fails_that_caller_alone(world: World) -> None:
    books = [book_id(n) for n in range(10, 30)]
    await opened(world, *books)
    requests = [
        request(PostEntry(book_id=book, amount_minor=1), caller=caller_named("nul\x00" if n == 7 else "actor"))
        for n, book in enumerate(books)
    ]
    answers = await asyncio.gather(*map(world.executor.execute, requests), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, BaseException)] == [7]
    assert isinstance(answers[7], errors.DataError)
    assert sum(row["balance_minor"] for row in world.rows(NORTH).values()) == 19


async def test_a_fact_that_is_too_large_fails_its_caller_alone(world: World) -> None:
    await opened(world, A, B)
    large = request(PostEntry(book_id=A, amount_minor=1, memo="x" * 300_000))
    first, second = await asyncio.gather(
        world.executor.execute(large),
        world.executor.execute(request(PostEntry(book_id=B, amount_minor=1))),
        return_exceptions=True,
    )
    assert "262144" in str(first)
    assert isinstance(second, Answer)


async def test_a_projection_that_fails_takes_its_fact_with_it_and_no_other(world: World) -> None:
    await opened(world, A, B)

    def failing(heard: Heard) -> Sequence[RowChange]:
        if heard.stream == f"book-{A}":
            raise KeyError(heard.stream)
        return list(project(heard))

    executor = Executor("sample", [BOOK], world.store, RealClock(), failing, INPUT_KEY)
    calls = [executor.execute(request(PostEntry(book_id=book, amount_minor=1))) for book in (A, B)]
    first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, KeyError)
    assert isinstance(second, Answer)
    assert len(await world.store.read_stream(NORTH, f"book-{A}")) == 1
    assert world.rows(NORTH)[B]["balance_minor"] == 1


async def test_a_conflict_in_a_batch_leaves_no_half_of_its_command_and_all_of_the_others(world: World) -> None:
    await opened(world, A)
    (first,) = await world.store.read_stream(NORTH, f"book-{A}")
    await world.executor.execute(request(PostEntry(book_id=A, amount_minor=1)))
    stale = decided(A, 1, record_hash(first), [EntryPosted(book_id=A), EntryPosted(book_id=A)])
    fresh = decided(B, 0, ZERO_HASH, [BookOpened(book_id=B, client="alpha"), EntryPosted(book_id=B)])
    results = await world.store.append([stale, fresh])
    assert results[0] == Conflicted(2)
    assert isinstance(results[1], Committed)
    assert len(await world.store.read_stream(NORTH, f"book-{A}")) == 2
    assert len(await world.store.read_stream(NORTH, f"book-{B}")) == 2
    await check_log(world.store)


def decided(book: str, version: int, previous: bytes, messages: Sequence[Any]) -> Decided:
    facts = [Fact(m, m.DESCRIPTOR.full_name, m.SerializeToString(), uuid4(), datetime.now(UTC), ()) for m in messages]
    stream, partition = f"book-{book}", partition_of(book, 8)
    outcome, rows, nobody = b"", (), lambda _heard: ()
    return Decided(
        NORTH,
        stream,
        partition,
        version,
        previous,
        uuid4(),
        bytes(32),
        outcome,
        facts,
        "a",
        uuid4(),
        None,
        rows,
        nobody,
    )


async def check_log(store: MemoryStore | PostgresStore) -> int:
    """The log is dense, chained and in time; how many facts it holds."""
    total = 0
    for head in await store.heads():
        chain, before = chain_start(store.log_id, head.partition), datetime(1970, 1, 1, tzinfo=UTC)
        number = -1
        async for page in store.read_log(head.partition):
            for record in page:
                number += 1
                chain = chain_next(chain, record_hash(record))
                assert (record.number, record.chain) == (number, chain)
                assert record.recorded_at >= before
                before = record.recorded_at
        assert (head.number, head.chain) == (number, chain)
        total += number + 1
    return total


# Callers, the writer, the queue.


async def test_a_caller_that_gave_up_neither_stops_the_others_nor_loses_its_command(world: World) -> None:
    books = [book_id(n) for n in range(10, 14)]
    await opened(world, *books)
    requests = [request(PostEntry(book_id=book, amount_minor=1), given_id=book) for book in books]
    with locked_heads(world):
        first = asyncio.create_task(world.executor.execute(requests[0]))
        await asyncio.sleep(0.2)
        # The writer waits with the first; the others share the next batch, those that give up before one that stays.
        given_up = [asyncio.create_task(world.executor.execute(each)) for each in requests[1:3]]
        await asyncio.sleep(0)
        stays = asyncio.create_task(world.executor.execute(requests[3]))
        await asyncio.sleep(0.1)
        for task in given_up:
            task.cancel()
    await asyncio.wait_for(asyncio.gather(first, stays), 5)
    answers = [await world.executor.execute(each) for each in requests]
    assert all(answer.replayed for answer in answers)
    assert world.store.alive
    assert {row["balance_minor"] for row in world.rows(NORTH).values()} == {1}


@contextmanager
def locked_heads(world: World) -> Iterator[psycopg.Connection[Any]]:
    """Another writer that holds all heads."""
    assert world.database is not None
    with psycopg.connect(world.database.url) as connection:
        connection.execute("SELECT FROM log.heads ORDER BY partition FOR UPDATE")
        yield connection
        connection.rollback()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_dies_fails_all_who_wait_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await opened(world, A, B)

    def die(_batch: object) -> None:
        raise AssertionError

    assert isinstance(world.store, PostgresStore)
    monkeypatch.setattr(world.store._writer, "_commit", die)
    calls = [world.executor.execute(request(PostEntry(book_id=book, amount_minor=1))) for book in (A, B)]
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
    assert [type(result) for result in results] == [Unavailable, Unavailable]
    assert not world.store.alive
    with pytest.raises(Unavailable):
        await world.executor.execute(request(PostEntry(book_id=A, amount_minor=1)))


async def test_closing_records_what_is_waiting(database: Database) -> None:
    world = await postgres_world(database, RealClock())
    books = [book_id(n) for n in range(10, 20)]
    await opened(world, *books)
    calls = [
        asyncio.create_task(world.executor.execute(request(PostEntry(book_id=book, amount_minor=1)))) for book in books
    ]
    await asyncio.sleep(0)
    began = time.monotonic()
    await world.store.close()
    # Nothing waits for the patience to end: the writer has seen the mark behind the commands.
    assert time.monotonic() - began < kernel.writer.DRAIN_SECONDS_MAX / 2
    answers = await asyncio.gather(*calls)
    assert len(answers) == 10
    assert sum(row["balance_minor"] for row in world.rows(NORTH).values()) == 10


async def test_a_full_queue_is_said_at_once_and_drains(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel.writer, "QUEUE_COMMANDS_MAX", 5)
    books = [book_id(n) for n in range(10, 30)]
    with psycopg.connect(world.database.url if world.database else "") as blocker:
        for book in books:
            await world.executor.execute(request(OpenBook(book_id=book, client="alpha")))
        blocker.execute("SELECT FROM log.heads ORDER BY partition FOR UPDATE")
        first = asyncio.create_task(world.executor.execute(request(PostEntry(book_id=books[0], amount_minor=1))))
        await asyncio.sleep(0.3)
        calls = [
            asyncio.create_task(world.executor.execute(request(PostEntry(book_id=book, amount_minor=1))))
            for book in books[1:]
        ]
        await asyncio.sleep(0.3)
        assert [type(call.exception()) for call in calls if call.done()] == [Overloaded] * 14
        blocker.rollback()
    await asyncio.gather(first, *(call for call in calls if not call.done() or call.exception() is None))
    assert sum(row["balance_minor"] for row in world.rows(NORTH).values()) == 6


async def test_a_lock_that_is_not_had_in_time_is_unavailable_and_the_next_batch_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kernel.store.SESSION, "lock_timeout", "300ms")
    world = await postgres_world(database, RealClock())
    await opened(world, A)
    with locked_heads(world), pytest.raises(Unavailable):
        await world.executor.execute(request(PostEntry(book_id=A, amount_minor=1), given_id="one"))
    answer = await world.executor.execute(request(PostEntry(book_id=A, amount_minor=1), given_id="one"))
    assert not answer.replayed
    await world.store.close()


# Several writers.


async def test_eight_writers_number_densely_in_time_and_without_deadlock(database: Database) -> None:
    worlds = [await postgres_world(database, RealClock()) for _ in range(8)]
    books = [book_id(n) for n in range(10, 26)]
    await opened(worlds[0], *books)

    async def write(world: World, number: int) -> int:
        """Entries in an order of its own; how many were accepted."""
        accepted = 0
        for n in range(15):
            answer = await world.executor.execute(
                request(PostEntry(book_id=books[(n * (2 * number + 1)) % 16], amount_minor=1))
            )
            accepted += answer.HasField("accepted")
        return accepted

    counts = await asyncio.gather(*(write(world, number) for number, world in enumerate(worlds)))
    assert counts == [15] * 8
    assert await check_log(worlds[0].store) == 16 + 120
    assert sum(row["balance_minor"] for row in worlds[0].rows(NORTH).values()) == 120
    for world in worlds:
        await world.store.close()


async def test_one_id_given_to_eight_processes_at_once_has_one_effect(database: Database) -> None:
    worlds = [await postgres_world(database, RealClock()) for _ in range(8)]
    await opened(worlds[0], A)
    command = PostEntry(book_id=A, amount_minor=1)
    answers = await asyncio.gather(*(world.executor.execute(request(command, given_id="one")) for world in worlds))
    assert sum(not answer.replayed for answer in answers) == 1
    assert len({tuple(answer.accepted.fact_ids) for answer in answers}) == 1
    assert worlds[0].rows(NORTH)[A]["balance_minor"] == 1
    for world in worlds:
        await world.store.close()


async def test_time_never_falls_within_a_partition(world: World, database: Database) -> None:
    await opened(world, A)
    later = datetime.now(UTC) + timedelta(hours=1)
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("UPDATE log.heads SET recorded_at = %s", [later])
    await world.executor.execute(request(PostEntry(book_id=A, amount_minor=1)))
    (*_, last) = await world.store.read_stream(NORTH, f"book-{A}")
    assert last.recorded_at == later


async def test_the_instant_is_read_after_the_lock_is_had(world: World) -> None:
    await opened(world, A)
    with locked_heads(world):
        call = asyncio.create_task(world.executor.execute(request(PostEntry(book_id=A, amount_minor=1))))
        await asyncio.sleep(0.4)
        released = datetime.now(UTC)
    await call
    (*_, last) = await world.store.read_stream(NORTH, f"book-{A}")
    assert last.recorded_at >= released - timedelta(milliseconds=50)


async def test_an_as_of_cut_waits_for_who_may_still_record_before_it(world: World) -> None:
    await opened(world, A)
    with locked_heads(world):
        cut = asyncio.create_task(world.store.cut(datetime.now(UTC) - timedelta(milliseconds=1)))
        await asyncio.sleep(0.3)
        assert not cut.done()
    assert sum(number + 1 for number in (await cut).values()) == 1
