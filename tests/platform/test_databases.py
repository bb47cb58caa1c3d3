"""A service's roles can do what they must and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from deploy.local.databases import Database, create_database, drop_database
from deploy.local.postgres import Server
from deploy.local.secrets import random_secrets

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


def test_an_administrator_who_is_no_superuser_is_enough(postgres: Server) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE operator LOGIN CREATEDB CREATEROLE PASSWORD 'operator'")
    parts = urlsplit(postgres.url)
    url = urlunsplit(parts._replace(netloc=f"operator:operator@{parts.hostname}:{parts.port}"))
    secrets = random_secrets()
    for _time in range(2):
        made = create_database(url, "contacts", secrets)
    with psycopg.connect(made.migrator_url) as connection:
        connection.execute("CREATE TABLE facts (number int)")
    with psycopg.connect(made.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DROP TABLE facts")
    drop_database(made)


def test_a_database_is_dropped_although_somebody_is_connected(database: MakeDatabase) -> None:
    made = database("accounts", migrated=False)
    with psycopg.connect(made.url) as connection:
        drop_database(made)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
