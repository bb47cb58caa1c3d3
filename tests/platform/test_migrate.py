"""Every service's database reaches its newest schema as the role that owns it, and what it lacks is told."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from deploy.local.child import PlatformError
from deploy.local.databases import Database, roles_of
from deploy.local.migrate import migrate, missing_revisions, versions_of

MakeDatabase = Callable[..., Database]
SERVICES = ["accounts", "audit", "gateway"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_fresh_database_lacks_every_revision_and_then_none(database: MakeDatabase, service: str) -> None:
    made = database(service, migrated=False)
    every = missing_revisions(made)
    assert len(every) == len(list(versions_of(service).glob("*.py")))
    migrate(made)
    assert missing_revisions(made) == []
    migrate(made)
    assert missing_revisions(made) == []


@pytest.mark.parametrize("service", SERVICES)
def test_everything_belongs_to_the_role_that_migrates(database: MakeDatabase, service: str) -> None:
    made = database(service)
    with psycopg.connect(made.admin_url) as connection:
        owners = connection.execute(
            "SELECT DISTINCT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
    assert owners == [(roles_of(service)[0],)]


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_cannot_alter_or_take_any_of_its_tables(database: MakeDatabase, service: str) -> None:
    made = database(service)
    with psycopg.connect(made.url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert tables
        for (table,) in tables:
            for statement in (f"ALTER TABLE {table} ADD COLUMN more int", f"DROP TABLE {table}", f"TRUNCATE {table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())


def test_a_service_without_migrations_is_named(database: MakeDatabase) -> None:
    with pytest.raises(PlatformError, match="contacts has no migrations"):
        migrate(database("contacts", migrated=False))
