"""A service's roles can do what they must and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from deploy.local.databases import Database

MakeDatabase = Callable[..., Database]


@pytest.fixture
def owned(database: MakeDatabase) -> Database:
    """A database with one table, made by its owner, to which the service may add."""
    made = database("accounts", migrated=False)
    with psycopg.connect(made.migrator_url) as connection:
        connection.execute("CREATE TABLE facts (number int)")
        connection.execute("GRANT SELECT, INSERT ON facts TO recoup_accounts")
        connection.execute("GRANT SELECT ON facts TO recoup_accounts_reader")
    return made


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE facts ADD COLUMN more int",
        "ALTER TABLE facts OWNER TO CURRENT_USER",
        "DROP TABLE facts",
        "CREATE TABLE own (number int)",
        "CREATE SCHEMA own",
        "TRUNCATE facts",
        "UPDATE facts SET number = 2",
        "SET ROLE recoup_accounts_migrator",
        "CREATE ROLE another",
        "CREATE DATABASE another",
    ],
)
@pytest.mark.parametrize("role", ["url", "reader_url"])
def test_neither_the_service_nor_the_reader_can_alter_or_own_anything(
    owned: Database, role: str, statement: str
) -> None:
    with (
        psycopg.connect(getattr(owned, role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_the_service_adds_and_the_reader_reads(owned: Database) -> None:
    with psycopg.connect(owned.url) as connection:
        connection.execute("INSERT INTO facts VALUES (1)")
    with psycopg.connect(owned.reader_url) as connection:
        assert connection.execute("SELECT number FROM facts").fetchall() == [(1,)]


def test_a_service_cannot_enter_another_services_database(database: MakeDatabase) -> None:
    accounts, audit = database("accounts", migrated=False), database("audit", migrated=False)
    stranger = accounts.url.replace(accounts.name, audit.name)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(stranger)


def test_no_role_of_a_service_is_a_superuser(owned: Database) -> None:
    with psycopg.connect(owned.admin_url) as connection:
        roles = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'recoup_%'"
            " AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls)"
        )
        assert roles.fetchall() == []
