"""Row-level security on the real database: two agencies of two clients, who see their own rows and can alter none."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from sqlalchemy import text

from kernel.reads import reading
from kernel.tenancy import Caller
from tests.accounts.examples import party, placement
from tests.accounts.test_vault import link
from tests.accounts.world import NORTH, SOUTH, World, agency, client

VIEWS = ("views.accounts", "views.feed", "views.clients")
VAULT = ("vault.persons", "vault.versions", "vault.matches")
CLIENTS = ("first-bank", "second-bank")


async def four_clients(world: World) -> None:
    """Two agencies, the same two client names in each, one account and person of each client."""
    for number, tenant in enumerate((NORTH, SOUTH)):
        for other, name in enumerate(CLIENTS):
            await world.open_client(name, tenant)
            someone = party(national_id=f"90000000{2 * number + other}")
            result = await world.one(client(name, tenant), placement(someone, client_id=name))
            assert result.answer.HasField("accepted"), result


async def rows(world: World, caller: Caller, table: str) -> Sequence[tuple[object, ...]]:
    async with reading(world.context.engine, caller) as connection:
        return [tuple(row) for row in await connection.execute(text(f"SELECT * FROM {table}"))]


async def test_each_caller_sees_their_own_rows_and_nobody_elses(world: World) -> None:
    await four_clients(world)
    for tenant in (NORTH, SOUTH):
        for table in VIEWS:
            seen = await rows(world, agency(tenant), table)
            assert {row[0] for row in seen} == {tenant}
            assert len(seen) == 2
            for name in CLIENTS:
                own = await rows(world, client(name, tenant), table)
                assert len(own) == 1
                assert name in own[0]
        for table in VAULT:
            seen = await rows(world, agency(tenant), table)
            assert {row[0] for row in seen} == {tenant}
        assert len({row[4] for row in await rows(world, agency(tenant), "log.events")}) > 0
        assert {row[3] for row in await rows(world, agency(tenant), "log.events")} == {tenant}


async def test_a_forgotten_setting_fails_and_reads_nothing(world: World) -> None:
    await four_clients(world)
    url = world.context.settings.database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as connection:
        for table in (*VIEWS, *VAULT):
            with pytest.raises(psycopg.Error):
                connection.execute(f"SELECT * FROM {table}")


ALTERING = (
    "UPDATE vault.versions SET fields = ''",
    "DELETE FROM vault.versions",
    "DELETE FROM vault.persons",
    "UPDATE vault.persons SET person_id = gen_random_uuid()",
    "TRUNCATE vault.persons CASCADE",
    "UPDATE log.events SET payload = ''",
    "ALTER TABLE views.accounts DISABLE ROW LEVEL SECURITY",
    "DROP POLICY tenants ON vault.persons",
)


async def test_the_services_role_cannot_alter_what_it_keeps(world: World) -> None:
    url = world.context.settings.database_url.get_secret_value()
    for statement in ALTERING:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{NORTH}}}"])
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


async def test_the_readers_role_sees_no_vault_and_no_views(world: World) -> None:
    url = world.context.settings.reader_url.get_secret_value()
    for table in (*VIEWS, *VAULT):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT * FROM {table}")


async def test_nobody_writes_rows_of_another_agency(world: World) -> None:
    await four_clients(world)
    url = world.context.settings.database_url.get_secret_value()
    with psycopg.connect(url) as connection:
        connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{NORTH}}}"])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "INSERT INTO vault.persons (tenant, person_id, key) VALUES (%s, gen_random_uuid(), NULL)", [SOUTH]
            )


async def test_linked_persons_are_of_one_agency(world: World) -> None:
    await four_clients(world)
    (account_id,) = [row[1] for row in await rows(world, client("first-bank"), "views.accounts")]
    (person_id, *_rest) = [row[1] for row in await rows(world, agency(), "vault.persons")]
    await link(world, str(person_id), str(account_id))
    streams = {row[4] for row in await rows(world, agency(SOUTH), "log.events")}
    assert f"person-{person_id}" not in streams
