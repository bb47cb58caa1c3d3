"""What is kept of batches: the job, and what became of each row. Every statement sees one client's rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from services.gateway.bound import bound
from services.gateway.principal import Principal

State = Literal["receiving", "complete", "interrupted", "stopped"]
Status = Literal["accepted", "quarantined", "duplicate", "refused"]
Errors = Sequence[Mapping[str, str]]

_OPEN: Final = """
    INSERT INTO gateway.batches (tenant, client, job_id, format, state) VALUES (%s, %s, %s, %s, 'receiving')
    ON CONFLICT (tenant, client, job_id)
    DO UPDATE SET state = 'receiving', reason = NULL, updated_at = clock_timestamp()
    WHERE batches.format = EXCLUDED.format
    RETURNING job_id, format, state, reason, created_at, updated_at"""
_ADD: Final = """
    INSERT INTO gateway.batch_rows
        (tenant, client, job_id, row, client_reference, status, account_id, amount_minor, currency, errors, warnings)
    SELECT %s, %s, %s, * FROM unnest(%s::integer[], %s::text[], %s::text[], %s::uuid[], %s::bigint[], %s::text[],
                                     %s::jsonb[], %s::jsonb[])
    ON CONFLICT (tenant, client, job_id, row)
    DO UPDATE SET client_reference = EXCLUDED.client_reference, status = EXCLUDED.status,
                  account_id = EXCLUDED.account_id, amount_minor = EXCLUDED.amount_minor,
                  currency = EXCLUDED.currency, errors = EXCLUDED.errors, warnings = EXCLUDED.warnings"""
_END: Final = """
    UPDATE gateway.batches SET state = %s, reason = %s, updated_at = clock_timestamp()
    WHERE tenant = %s AND client = %s AND job_id = %s"""
_FIND: Final = """
    SELECT job_id, format, state, reason, created_at, updated_at
    FROM gateway.batches WHERE tenant = %s AND client = %s AND job_id = %s"""
_TOTALS: Final = """
    SELECT status, currency, count(*) AS count, coalesce(sum(amount_minor), 0)::bigint AS amount
    FROM gateway.batch_rows WHERE tenant = %s AND client = %s AND job_id = %s GROUP BY 1, 2 ORDER BY 1, 2"""
_ROWS: Final = """
    SELECT row, client_reference, status, account_id, amount_minor, currency, errors, warnings
    FROM gateway.batch_rows WHERE tenant = %s AND client = %s AND job_id = %s AND row > %s ORDER BY row LIMIT %s"""


@dataclass(frozen=True, slots=True)
class Job:
    """One batch as it is kept."""

    job_id: UUID
    format: str
    state: State
    reason: Mapping[str, str] | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row. The amount is absent when the row's total could not be read."""

    row: int
    client_reference: str | None
    status: Status
    account_id: UUID | None
    amount_minor: int | None
    currency: str | None
    errors: Errors = field(default=())
    warnings: Errors = field(default=())


class BatchStore:
    """The batches of one client."""

    def __init__(self, pool: AsyncConnectionPool, principal: Principal) -> None:
        """`pool` logs in as the gateway's role, which row-level security binds."""
        self._pool = pool
        self._principal = principal
        self._owner = (principal.key.tenant, principal.client)

    async def open(self, job_id: str, format_: str) -> Job | None:
        """The job, begun or begun again; None when it was begun with another format."""
        async with (
            self._bound() as connection,
            connection.cursor(row_factory=class_row(Job)) as cursor,
        ):
            await cursor.execute(_OPEN, [*self._owner, job_id, format_])
            return await cursor.fetchone()

    async def add(self, job_id: str, results: Sequence[RowResult]) -> None:
        """Keep what became of rows; a row that was known gets its newest result."""
        columns = (
            [r.row for r in results],
            [r.client_reference for r in results],
            [r.status for r in results],
            [r.account_id for r in results],
            [r.amount_minor for r in results],
            [r.currency for r in results],
            [Jsonb(list(r.errors)) for r in results],
            [Jsonb(list(r.warnings)) for r in results],
        )
        async with self._bound() as connection:
            await connection.execute(_ADD, [*self._owner, job_id, *columns])

    async def end(self, job_id: str, state: State, reason: Mapping[str, str] | None = None) -> None:
        """Say how the job stands."""
        async with self._bound() as connection:
            await connection.execute(_END, [state, Jsonb(reason) if reason else None, *self._owner, job_id])

    async def find(self, job_id: str) -> Job | None:
        """The job of this id, if it is this client's."""
        async with (
            self._bound() as connection,
            connection.cursor(row_factory=class_row(Job)) as cursor,
        ):
            await cursor.execute(_FIND, [*self._owner, job_id])
            return await cursor.fetchone()

    async def totals(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """Count and money by status and currency."""
        async with self._bound() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_TOTALS, [*self._owner, job_id])
            return await cursor.fetchall()

    async def rows(self, job_id: str, after: int, limit: int) -> Sequence[RowResult]:
        """Results in row order, those after a row."""
        async with (
            self._bound() as connection,
            connection.cursor(row_factory=class_row(RowResult)) as cursor,
        ):
            await cursor.execute(_ROWS, [*self._owner, job_id, after, limit])
            return await cursor.fetchall()

    def _bound(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection]:
        return bound(self._pool, self._principal)
