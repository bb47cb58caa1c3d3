"""A transaction in which row-level security shows one client's rows, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg_pool import AsyncConnectionPool

from services.gateway.principal import Principal


@asynccontextmanager
async def bound(pool: AsyncConnectionPool, principal: Principal) -> AsyncIterator[psycopg.AsyncConnection]:
    """The transaction; it commits when the context ends well."""
    async with pool.connection() as connection, connection.pipeline(), connection.transaction():
        await connection.execute(
            "SELECT set_config('recoup.tenants', %s, true), set_config('recoup.client', %s, true)",
            [f"{{{principal.key.tenant}}}", principal.client],
        )
        yield connection
