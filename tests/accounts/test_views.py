"""The read tables: made of facts alone, so that they can be made again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from recoup.accounts.v1 import state_pb2 as states

from deploy.local.databases import Database
from kernel.rebuild import rebuild
from services.accounts.__main__ import DECIDERS
from services.accounts.views import project
from tests.accounts.examples import placement
from tests.accounts.test_api import _close, _hold, payment
from tests.accounts.test_vault import link
from tests.accounts.world import NORTH, SOUTH, World, client, world_of

TABLES = ("views.accounts", "views.feed", "views.clients")


@pytest.fixture
def accounts_database(database: Callable[..., Database]) -> Database:
    return database("accounts")


@pytest.fixture
async def rich(accounts_database: Database, tmp_path: Path) -> AsyncIterator[World]:
    """Accounts of two agencies, of which something has become."""
    async with world_of(accounts_database, tmp_path) as world:
        for tenant in (NORTH, SOUTH):
            await world.open_client(tenant=tenant)
            given = [placement(client_reference=f"r{number}") for number in range(5)]
            ids = [result.entity_id for result in await world.execute(client(tenant=tenant), *given)]
            lacking = placement(client_reference="lacking")
            lacking.terms.debt.ClearField("accrual_date")
            await world.one(client(tenant=tenant), lacking)
            mended = placement(client_reference="lacking", batch_reference="batch-2")
            await world.one(client(tenant=tenant), mended, completes=True)
            await world.execute(client(tenant=tenant), payment(ids[0]), _hold(ids[1]), _close(ids[2]))
        yield world


def rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with psycopg.connect(database.url) as connection:
        connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{NORTH},{SOUTH}}}"])
        return {table: connection.execute(f"SELECT * FROM {table} t ORDER BY t").fetchall() for table in TABLES}


async def test_rebuilt_tables_are_the_same_and_the_service_goes_on(rich: World, accounts_database: Database) -> None:
    before = rows(accounts_database)
    assert [len(before[table]) for table in TABLES] == [12, 20, 2]
    rebuilt = rebuild(accounts_database.migrator_url, accounts_database.reader_url, DECIDERS, project)
    assert sorted(rebuilt.tables) == sorted(TABLES)
    assert rows(accounts_database) == before
    result = await rich.one(client(), placement(client_reference="after"))
    assert result.answer.HasField("accepted"), result
    assert len(rows(accounts_database)["views.accounts"]) == 13


async def test_a_row_follows_its_stream(rich: World, accounts_database: Database) -> None:
    by_reference = {
        row[3]: (row[4], row[5], row[7]) for row in rows(accounts_database)["views.accounts"] if row[0] == NORTH
    }
    assert by_reference == {
        "r0": ("batch-1", states.ACCOUNT_PHASE_OPEN, 2),
        "r1": ("batch-1", states.ACCOUNT_PHASE_OPEN, 2),
        "r2": ("batch-1", states.ACCOUNT_PHASE_CLOSED, 2),
        "r3": ("batch-1", states.ACCOUNT_PHASE_OPEN, 1),
        "r4": ("batch-1", states.ACCOUNT_PHASE_OPEN, 1),
        "lacking": ("batch-2", states.ACCOUNT_PHASE_OPEN, 2),
    }


async def test_a_persons_facts_have_no_rows(rich: World, accounts_database: Database) -> None:
    before = rows(accounts_database)
    await link(rich, "00000000-0000-0000-0000-000000000001", str(before["views.accounts"][0][1]))
    assert rows(accounts_database) == before
