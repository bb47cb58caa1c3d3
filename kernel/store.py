"""The log in PostgreSQL. Appends go through the writer's thread, reads through two small pools.

The service's role sees the tenants that a transaction names and may only add; the reader's role sees every tenant and
may not add. Both are checked at start, with the log's own row of settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from kernel import sql
from kernel.append import NO_HISTORY, PAGE_RECORDS_MAX, Decided, Head, History, Repeated, Result
from kernel.clock import Clock
from kernel.errors import NotFinal, StartRefused, Unavailable
from kernel.project import Tables, tables_of
from kernel.record import Record, record_hash
from kernel.writer import Writer

PARTITIONS: Final = 8
POOL_CONNECTIONS_MAX: Final = 4
POOL_SECONDS_MAX: Final = 5.0
SESSION: Final = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "transaction_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
}
APPENDING: Final = {
    # The same few statements for ever: planning each of them anew costs more than running it. What they look for, they
    # find by key, however small a table was when the plan was made.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
TCP_USER_TIMEOUT_MILLISECONDS: Final = 10_000
CONNECT_SECONDS_MAX: Final = 5

_ROLE = """
SELECT current_user, rolsuper, rolbypassrls,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
                 AND pg_has_role(c.relowner, 'MEMBER'))
FROM pg_roles WHERE rolname = current_user
"""
_HISTORY = (
    "SELECT stream, type, payload FROM log.events WHERE tenant = %b AND stream = ANY(%s::text[])"
    " ORDER BY stream, version"
)
_LAST = (
    f"SELECT {sql.RECORD_COLUMNS} FROM unnest(%s::text[]) AS n(name) CROSS JOIN LATERAL"  # noqa: S608 - constants.
    " (SELECT * FROM log.events WHERE tenant = %b AND stream = n.name ORDER BY version DESC LIMIT 1) e"
)
_STREAM = (
    f"SELECT {sql.RECORD_COLUMNS} FROM log.events WHERE tenant = %b AND stream = %s AND version > %b"  # noqa: S608
    " AND (%t::timestamptz IS NULL OR recorded_at <= %t) ORDER BY version LIMIT %t::bigint"
)
_HEADS = "SELECT partition, number, chain, recorded_at FROM log.heads ORDER BY partition"


def schema_sql(service: str, *, partitions: int = PARTITIONS, clock: str = "real") -> str:
    """The log's schema for one service, to be run once by its migrator; the service's three roles exist before."""
    role = f"recoup_{service}"
    text = (Path(__file__).parent / "store.sql").read_text(encoding="utf-8")
    for name, value in (
        ("migrator", f'"{role}_migrator"'),
        ("service", f'"{role}"'),
        ("reader", f'"{role}_reader"'),
        ("partitions", str(partitions)),
        ("clock", clock),
    ):
        text = text.replace(f":{name}", value)
    return text


def connect(url: str) -> psycopg.Connection[TupleRow]:
    """An autocommitting connection with every timeout set, for writing from a thread."""
    return psycopg.Connection.connect(url, autocommit=True, prepare_threshold=1, **_options(APPENDING))


class PostgresStore:
    """The log of one service in its PostgreSQL; open it within the event loop that uses it."""

    def __init__(self, url: str, reader_url: str, clock: Clock) -> None:
        """Refuses to start (StartRefused) as a superuser or an owner, or where the log's settings differ."""
        self._clock = clock
        self.committed: Callable[[], None] = lambda: None
        """Told after every append; a relay in the same process need not wait until it looks again."""
        with connect(url) as connection, connect(reader_url) as reader:
            _check_role(connection)
            _check_role(reader)
            self._log_id, self._partitions = _check_meta(connection, clock)
            self._tables = tables_of(connection)
        self._pool = _pool(url)
        self._reader = _pool(reader_url)
        self._writer = Writer(lambda: connect(url), self._log_id, self._tables, clock)

    @classmethod
    async def open(cls, url: str, reader_url: str, clock: Clock) -> Self:
        """A store that is ready."""
        store = await asyncio.to_thread(cls, url, reader_url, clock)
        await store.begin()
        return store

    async def begin(self) -> None:
        """Open the pools that reads go through."""
        await self._pool.open()
        await self._reader.open()

    async def close(self) -> None:
        """Record what is waiting, then let go of every connection."""
        await asyncio.to_thread(self._writer.close)
        await self._pool.close()
        await self._reader.close()

    @property
    def log_id(self) -> UUID:
        """Which log this is."""
        return self._log_id

    @property
    def partitions(self) -> int:
        """How many partitions it has."""
        return self._partitions

    @property
    def alive(self) -> bool:
        """Whether the writer lives."""
        return self._writer.alive

    @property
    def tables(self) -> Tables:
        """The tables that read rows go to."""
        return self._tables

    async def append(self, decided: Sequence[Decided]) -> list[Result]:
        """Record commands; each has its own result."""
        futures = self._writer.submit(decided)
        results = [await future for future in futures]
        self.committed()
        return results

    def lock_within(
        self, connection: psycopg.Connection[Any], tenants: Iterable[UUID], partitions: Iterable[int]
    ) -> None:
        """Name the tenants of the caller's transaction and lock the heads it will append to, in partition order."""
        connection.execute(sql.BEGIN_BATCH, [sql.tenants_text(tenants), sorted(set(partitions))])

    def find_within(
        self, connection: psycopg.Connection[Any], tenant: UUID, command_ids: Sequence[UUID]
    ) -> Mapping[UUID, Repeated]:
        """The stored answers among these commands."""
        cursor = connection.cursor(binary=True)
        cursor.execute(sql.FIND_COMMANDS, [[tenant] * len(command_ids), list(command_ids)])
        return {id_: repeated for (_tenant, id_), repeated in sql.stored(cursor).items()}

    def histories_within(
        self, connection: psycopg.Connection[Any], tenant: UUID, streams: Sequence[str]
    ) -> Mapping[str, History]:
        """Whole streams; the caller holds their heads, so nothing arrives between the two questions."""
        cursor = connection.cursor(binary=True)
        last = cursor.execute(_LAST, [list(streams), tenant]).fetchall()
        facts = cursor.execute(_HISTORY, [tenant, list(streams)]).fetchall()
        return self._histories(facts, last)

    def append_within(self, connection: psycopg.Connection[Any], decided: Sequence[Decided]) -> list[Result]:
        """Record commands in the caller's transaction, which holds the heads; an id that is taken stands as result."""
        cursor = connection.cursor(binary=True)
        if not decided:
            return []
        tenants = sql.tenants_text(one.tenant for one in decided)
        heads = cursor.execute(sql.BEGIN_BATCH, [tenants, sorted({one.partition for one in decided})]).fetchall()
        at = sql.places(self._log_id, heads, simulated=self._clock.simulated)
        commands = sql.stored(cursor.execute(sql.FIND_COMMANDS, sql.pairs(decided)))
        results = sql.judged_all(decided, commands, {})
        standing = [one for one, result in zip(decided, results, strict=True) if result is None]
        placed = sql.place_all(standing, at)
        for statement in sql.insertions(placed, at, self._tables) if placed else ():
            cursor.execute(statement.sql, statement.parameters)
        committed = iter(placed)
        return [next(committed).committed if result is None else result for result in results]

    async def histories(self, tenant: UUID, streams: Sequence[str]) -> Mapping[str, History]:
        """Whole streams; a stream without facts is absent."""
        async with _connected(self._pool) as connection:
            facts, last = connection.cursor(binary=True), connection.cursor(binary=True)
            # One snapshot, or a fact that arrives between the two would give an old state its new version.
            async with connection.pipeline():
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                await connection.execute(sql.SET_TENANTS, [sql.tenants_text([tenant])])
                await facts.execute(_HISTORY, [tenant, list(streams)])
                await last.execute(_LAST, [list(streams), tenant])
                await connection.execute("COMMIT")
            return self._histories(await facts.fetchall(), await last.fetchall())

    async def history(self, tenant: UUID, stream: str, recorded_until: datetime | None = None) -> History:
        """A stream, as far as it was recorded at `recorded_until`."""
        if recorded_until is None:
            return (await self.histories(tenant, [stream])).get(stream, NO_HISTORY)
        records = await self.read_stream(tenant, stream, recorded_until=recorded_until)
        if not records:
            return NO_HISTORY
        last = records[-1]
        return History([(record.type, record.payload) for record in records], last.version, record_hash(last))

    async def read_stream(
        self,
        tenant: UUID,
        stream: str,
        after_version: int = 0,
        recorded_until: datetime | None = None,
        limit: int | None = None,
    ) -> Sequence[Record]:
        """A stream's records above a version, the first `limit` of them."""
        async with _reading(self._pool, tenant) as cursor:
            await cursor.execute(_STREAM, [tenant, stream, after_version, recorded_until, recorded_until, limit])
            return [sql.record_of(self._log_id, row) async for row in cursor]

    async def read_log(
        self, partition: int, from_number: int = 0, to_number: int | None = None
    ) -> AsyncIterator[Sequence[Record]]:
        """A partition of all tenants in number order, page by page; each page is a short read of its own."""
        if to_number is None:
            to_number = (await self.heads())[partition].number
        while from_number <= to_number:
            until = min(from_number + PAGE_RECORDS_MAX - 1, to_number)
            async with _reading(self._reader, None) as cursor:
                await cursor.execute(sql.READ_PAGE, [partition, from_number, until])
                page = [sql.record_of(self._log_id, row) async for row in cursor]
            if not page:
                return
            yield page
            from_number = until + 1

    async def heads(self) -> Sequence[Head]:
        """Where every partition ends."""
        async with _reading(self._reader, None) as cursor:
            await cursor.execute(_HEADS)
            return [Head(*row) async for row in cursor]

    async def cut(self, recorded_until: datetime) -> Mapping[int, int]:
        """Per partition the last number recorded by then. The heads are held meanwhile, so that none can still come."""
        async with _reading(self._pool, None) as cursor:
            await cursor.execute("SELECT FROM log.heads ORDER BY partition FOR SHARE")
            now = self._clock.now() if self._clock.simulated else await _clock(cursor)
            if recorded_until >= now:
                message = f"{recorded_until.isoformat()} is not over; ask again later"
                raise NotFinal(message)
            async with _reading(self._reader, None) as reader:
                await reader.execute(
                    "SELECT partition, log.cut(partition, %b) FROM log.heads ORDER BY partition", [recorded_until]
                )
                return dict(await reader.fetchall())

    def _histories(self, facts: Iterable[Sequence[Any]], last: Iterable[Sequence[Any]]) -> dict[str, History]:
        found: dict[str, list[tuple[str, bytes]]] = {}
        for stream, type_, payload in facts:
            found.setdefault(stream, []).append((type_, payload))
        ends = [sql.record_of(self._log_id, row) for row in last]
        return {end.stream: History(found[end.stream], end.version, record_hash(end)) for end in ends}


def _options(more: Mapping[str, str] | None = None) -> dict[str, Any]:
    settings = " ".join(f"-c {name}={value}" for name, value in {**SESSION, **(more or {})}.items())
    return {
        "options": settings,
        "tcp_user_timeout": TCP_USER_TIMEOUT_MILLISECONDS,
        "connect_timeout": CONNECT_SECONDS_MAX,
    }


def _pool(url: str) -> AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]:
    return AsyncConnectionPool(
        url,
        kwargs={"autocommit": True, "prepare_threshold": 1, **_options()},
        min_size=1,
        max_size=POOL_CONNECTIONS_MAX,
        timeout=POOL_SECONDS_MAX,
        open=False,
    )


@asynccontextmanager
async def _connected(
    pool: AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]],
) -> AsyncIterator[psycopg.AsyncConnection[TupleRow]]:
    """A connection of the pool. A server that is away is Unavailable."""
    try:
        async with pool.connection() as connection:
            yield connection
    except (psycopg.OperationalError, PoolTimeout) as error:
        message = f"the log cannot be read: {str(error).strip()}"
        raise Unavailable(message) from error


@asynccontextmanager
async def _reading(
    pool: AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]], tenant: UUID | None
) -> AsyncIterator[psycopg.AsyncCursor[TupleRow]]:
    """A read in one transaction and, when it is about a tenant, as that tenant."""
    async with _connected(pool) as connection, connection.transaction():
        cursor = connection.cursor(binary=True)
        if tenant is not None:
            await cursor.execute(sql.SET_TENANTS, [sql.tenants_text([tenant])])
        yield cursor


async def _clock(cursor: psycopg.AsyncCursor[TupleRow]) -> datetime:
    (row,) = await (await cursor.execute(sql.READ_CLOCK)).fetchall()
    instant: datetime = row[0]
    return instant


def _check_role(connection: psycopg.Connection[TupleRow]) -> None:
    (row,) = connection.execute(_ROLE).fetchall()
    role, superuser, bypasses, owns = row
    if superuser or bypasses or owns:
        fault = "is a superuser" if superuser else "bypasses row-level security" if bypasses else "owns tables"
        message = f"the role {role} {fault}, so it could alter the log; start as the service's own role"
        raise StartRefused(message)


def _check_meta(connection: psycopg.Connection[TupleRow], clock: Clock) -> tuple[UUID, int]:
    rows = connection.execute("SELECT log_id, partitions, clock FROM log.meta").fetchall()
    if len(rows) != 1:
        message = "this log does not say which it is: its migrations have not run"
        raise StartRefused(message)
    log_id, partitions, recorded_by = rows[0]
    kept = "simulated" if clock.simulated else "real"
    if recorded_by != kept:
        message = f"this log keeps {recorded_by} time, and the process would keep {kept} time"
        raise StartRefused(message)
    return log_id, partitions
