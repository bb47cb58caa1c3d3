"""What audit reads of its own store: one case, one agency's cases, a whole partition, and how far it has heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kernel.reads import reading
from kernel.tenancy import Caller
from services.audit.domain.account import FactBytes
from services.audit.domain.entry import ACCOUNT, Entry
from services.audit.domain.verify import Head
from services.audit.recorder import COLUMNS

CASES_PAGE: Final = 500
RECORDS_PAGE: Final = 2_000
SOURCE_OF_ACCOUNTS: Final = "accounts"

_CHECKPOINTS: Final = (
    "SELECT source, partition, log_id, last, chain, halted FROM log.checkpoints WHERE consumer = 'audit'"
    " ORDER BY source, partition"
)
_OWN: Final = f"SELECT {COLUMNS} FROM audit.records WHERE tenant = %s AND source = %s AND stream = %s ORDER BY version"  # noqa: S608 - constants.
_MENTIONING: Final = (
    f"SELECT {COLUMNS} FROM audit.mentions m JOIN audit.records r USING (tenant, source, partition, number)"  # noqa: S608
    " WHERE m.tenant = %s AND m.account = %s"
)
_CASES: Final = (
    "SELECT stream, version, type, payload FROM audit.records WHERE tenant = %s AND source = %s"
    " AND stream = ANY(%s::text[]) ORDER BY stream, version"
)
_ACCOUNTS: Final = (
    "SELECT stream FROM audit.records WHERE tenant = %s AND source = %s AND stream >= %s AND stream < %s"
    " AND version = 1 ORDER BY stream"
)
_BEHIND: Final = ACCOUNT[:-1] + chr(ord(ACCOUNT[-1]) + 1)
"""The first name behind those of accounts' streams."""
_PARTITION: Final = f"SELECT {COLUMNS} FROM audit.records WHERE source = %s AND partition = %s ORDER BY number"  # noqa: S608
_LAST_INSTANT: Final = (
    "SELECT recorded_at FROM audit.records WHERE source = %s AND partition = %s AND number <= %s"
    " ORDER BY number DESC LIMIT 1"
)
_COUNTS: Final = "SELECT type, count(*) FROM audit.records WHERE tenant = %s GROUP BY type ORDER BY type"
_PARKED: Final = "SELECT number, error FROM log.parked WHERE consumer = 'audit' AND source = %s AND partition = %s"


class Progress(NamedTuple):
    """How far one partition of one source was heard."""

    source: str
    partition: int
    log_id: UUID
    head: Head
    halted: str | None


class Case(NamedTuple):
    """One account's stream, and how far everything was heard when it was read."""

    entries: Sequence[Entry]
    progress: Sequence[Progress]


class Views:
    """Audit's store, read by one agency at a time; whole partitions are read by the role that sees all of them."""

    def __init__(self, engine: AsyncEngine, reader: AsyncEngine) -> None:
        """`engine` is the service's own role, `reader` the one that reads every agency."""
        self._engine, self._reader = engine, reader

    async def progress(self, caller: Caller) -> list[Progress]:
        """How far every partition was heard."""
        async with self._as(caller) as connection:
            return await _progress(connection)

    async def case(self, caller: Caller, account_id: UUID) -> Case:
        """The account's own facts, in order, up to the positions that are returned with them."""
        async with self._as(caller) as connection:
            progress = await _progress(connection)
            entries = await _entries(connection, _OWN, [caller.tenant, SOURCE_OF_ACCOUNTS, f"{ACCOUNT}{account_id}"])
        heard = {(each.source, each.partition): each.head.number for each in progress}
        known = [entry for entry in entries if entry.number <= heard.get((entry.source, entry.partition), -1)]
        return Case(known, progress)

    async def mentioning(self, caller: Caller, account_id: UUID) -> list[Entry]:
        """The facts of other streams that concern the account."""
        async with self._as(caller) as connection:
            return await _entries(connection, _MENTIONING, [caller.tenant, account_id])

    async def cases(self, caller: Caller, account_ids: Sequence[str]) -> Mapping[str, Sequence[FactBytes]]:
        """The facts of accounts as a fold reads them, by account; one that was not heard of is absent."""
        found: dict[str, list[FactBytes]] = {}
        async with self._as(caller) as connection, connection.cursor(binary=True) as cursor:
            streams = [f"{ACCOUNT}{account_id}" for account_id in account_ids]
            await cursor.execute(_CASES, [caller.tenant, SOURCE_OF_ACCOUNTS, streams])
            for stream, version, type_, payload in await cursor.fetchall():
                found.setdefault(stream.removeprefix(ACCOUNT), []).append((version, type_, payload))
        return found

    async def account_ids(self, caller: Caller) -> list[str]:
        """Every account of the agency, by id."""
        async with self._as(caller) as connection:
            found = await connection.execute(_ACCOUNTS, [caller.tenant, SOURCE_OF_ACCOUNTS, ACCOUNT, _BEHIND])
            return [stream.removeprefix(ACCOUNT) for (stream,) in await found.fetchall()]

    async def partition(self, caller: Caller, progress: Progress) -> AsyncIterator[list[Entry]]:
        """Every agency's records of one partition, in number order, in pages."""
        async with self._as(caller, self._reader) as connection, connection.cursor("partition", binary=True) as cursor:
            await cursor.execute(_PARTITION, [progress.source, progress.partition])
            while rows := await cursor.fetchmany(RECORDS_PAGE):
                yield [_entry(row) for row in rows]

    async def parked(self, caller: Caller, progress: Progress) -> Mapping[int, str | None]:
        """The numbers of a partition that were heard and could not be kept, with the reason where there is one."""
        async with self._as(caller) as connection:
            rows = await (await connection.execute(_PARKED, [progress.source, progress.partition])).fetchall()
            return dict(rows)

    async def last_instant(self, caller: Caller, progress: Progress) -> datetime | None:
        """When the last record of a partition was recorded, whoever it belongs to."""
        async with self._as(caller, self._reader) as connection:
            found = await connection.execute(_LAST_INSTANT, [progress.source, progress.partition, progress.head.number])
            row = await found.fetchone()
            return row[0] if row else None

    async def counts(self, caller: Caller) -> dict[str, int]:
        """How many facts of each type the agency has."""
        async with self._as(caller) as connection:
            return dict(await (await connection.execute(_COUNTS, [caller.tenant])).fetchall())

    @asynccontextmanager
    async def _as(
        self, caller: Caller, engine: AsyncEngine | None = None
    ) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """The driver's connection within the caller's transaction: rows here are too many for anything between."""
        async with reading(engine or self._engine, caller) as connection:
            yield await _driver(connection)


async def _driver(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection), "audit reads through psycopg"
    return driver


async def _progress(connection: psycopg.AsyncConnection[Any]) -> list[Progress]:
    rows = await (await connection.execute(_CHECKPOINTS)).fetchall()
    return [
        Progress(source, partition, log_id, Head(last, bytes(chain)), halted)
        for source, partition, log_id, last, chain, halted in rows
    ]


async def _entries(connection: psycopg.AsyncConnection[Any], query: str, parameters: Sequence[object]) -> list[Entry]:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(sql.SQL(query), parameters)
        return [_entry(row) for row in await cursor.fetchall()]


def _entry(row: Sequence[Any]) -> Entry:
    entry = Entry(*row)
    return entry._replace(accounts=tuple(entry.accounts))
