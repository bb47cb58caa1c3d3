"""Reading what a service's views hold, as one caller and nobody else: row-level security is set per transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kernel.tenancy import Caller

POOL_CONNECTIONS_MAX: Final = 8
POOL_SECONDS_MAX: Final = 5.0
STATEMENT_MILLISECONDS_MAX: Final = 15_000

_SCOPE: Final = text(
    "SELECT set_config('recoup.tenants', :tenants, true), set_config('recoup.client', :client, true),"
    " set_config('transaction_read_only', 'on', true)"
)


def engine_of(database_url: str) -> AsyncEngine:
    """The pool that a process reads its own database through."""
    return create_async_engine(
        make_url(database_url).set(drivername="postgresql+psycopg"),
        pool_size=POOL_CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=POOL_SECONDS_MAX,
        pool_pre_ping=True,
        connect_args={"options": f"-c statement_timeout={STATEMENT_MILLISECONDS_MAX}", "connect_timeout": 5},
    )


@asynccontextmanager
async def reading(engine: AsyncEngine, caller: Caller) -> AsyncIterator[AsyncConnection]:
    """A read-only transaction that sees the rows of the caller's tenant and, for a client, of that client alone.

    The settings end with the transaction, so no pooled connection remembers anybody. `recoup.client` is empty for the
    agency's own people: a policy reads it so.
    """
    async with engine.begin() as connection:
        await connection.execute(_SCOPE, {"tenants": f"{{{caller.tenant}}}", "client": caller.client or ""})
        yield connection
