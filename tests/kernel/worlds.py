"""A log of either kind with two agencies of two clients each, for tests that must hold on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from google.protobuf.message import Message

from deploy.local.databases import Database
from kernel.append import Store
from kernel.clock import Clock
from kernel.execute import Executor, Request
from kernel.memory import MemoryStore
from kernel.project import RowChange, Table
from kernel.store import PostgresStore, connect
from kernel.tenancy import Caller
from tests.kernel.sample import BOOK, project

NORTH, SOUTH = UUID(int=1), UUID(int=2)
CALLERS: Final = {
    (tenant, client): Caller(tenant, client, f"actor of {client}", "credential", frozenset())
    for tenant in (NORTH, SOUTH)
    for client in ("alpha", "beta")
}
ALPHA, BETA = CALLERS[NORTH, "alpha"], CALLERS[NORTH, "beta"]
SOUTH_ALPHA = CALLERS[SOUTH, "alpha"]
AGENCY: Final = Caller(NORTH, None, "operator", "agency credential", frozenset())

BOOK_TYPES: Final = {
    "tenant": "uuid",
    "book_id": "text",
    "client": "text",
    "balance_minor": "bigint",
    "version": "bigint",
    "partition": "smallint",
    "number": "bigint",
    "recorded_at": "timestamp with time zone",
    "closed": "boolean",
    "memos": "text[]",
}
INPUT_KEY: Final = b"a key of the tests, and no other"


def book_id(number: int) -> str:
    """The id of the book of that number."""
    return str(UUID(int=number))


def request(
    command: Message, caller: Caller = ALPHA, given_id: str | None = None, rows: Sequence[RowChange] = ()
) -> Request:
    """A request under an id of its own, or under the given one."""
    return Request(command, given_id or str(uuid4()), caller, uuid4(), tuple(rows))


@dataclass
class World:
    """One log, an executor upon it, and a look at its read rows."""

    store: MemoryStore | PostgresStore
    executor: Executor
    rows: Callable[[UUID], Mapping[str, Mapping[str, Any]]]
    within: Callable[[], Any]
    clock: Clock
    database: Database | None = None
    executors: list[Executor] = field(default_factory=list)

    def another(self) -> Executor:
        """An executor that remembers nothing."""
        return executor_of(self.store, self.clock)


def executor_of(store: Store, clock: Clock) -> Executor:
    """An executor of the sample service."""
    return Executor("sample", [BOOK], store, clock, project, INPUT_KEY)


def memory_world(clock: Clock) -> World:
    """A log in memory."""
    store = MemoryStore(clock, {"views.book": Table(("tenant", "book_id"), BOOK_TYPES)})

    def rows(tenant: UUID) -> Mapping[str, Mapping[str, Any]]:
        books = store.rows.get("views.book", {}).values()
        return {str(row["book_id"]): row for row in books if str(row["tenant"]) == str(tenant)}

    @contextmanager
    def within() -> Iterator[None]:
        yield None

    return World(store, executor_of(store, clock), rows, within, clock)


async def postgres_world(database: Database, clock: Clock) -> World:
    """A log in PostgreSQL; close its store when done."""
    store = await PostgresStore.open(database.url, database.reader_url, clock)

    def rows(tenant: UUID) -> Mapping[str, Mapping[str, Any]]:
        with psycopg.connect(database.url, row_factory=psycopg.rows.dict_row) as connection:
            connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{tenant}}}"])
            return {row["book_id"]: row for row in connection.execute("SELECT * FROM views.book")}

    @contextmanager
    def within() -> Iterator[psycopg.Connection[Any]]:
        with connect(database.url) as connection, connection.transaction():
            yield connection

    return World(store, executor_of(store, clock), rows, within, clock, database)
