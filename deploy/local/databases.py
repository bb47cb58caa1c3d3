"""A service's database and its three roles: one owns, one adds, one reads.

`recoup_<service>_migrator` owns the database and everything in it and is used by migrations only. `recoup_<service>` is
what the service's processes log in as; it owns nothing, so it can alter nothing. `recoup_<service>_reader` reads every
tenant for the relay and for those who ask for the log. None is a superuser, and nobody else may connect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from deploy.local.secrets import Secrets

DATABASE_SERVICES: Final = ("accounts", "audit", "gateway")
"""Every service that keeps something, in the order in which they are migrated."""


@dataclass(frozen=True, slots=True)
class Database:
    """One service's database and who reaches it how."""

    service: str
    name: str
    url: str
    """As the service's processes."""
    reader_url: str
    migrator_url: str
    admin_url: str
    """As the server's administrator: for tests and repairs, never for a process."""


def roles_of(service: str) -> tuple[str, str, str]:
    """The names of the service's roles: who migrates, who serves, who reads."""
    return f"recoup_{service}_migrator", f"recoup_{service}", f"recoup_{service}_reader"


def create_database(admin_url: str, service: str, secrets: Secrets, name: str | None = None) -> Database:
    """Make the service's database and roles where they do not exist; their passwords are set either way."""
    name = name or f"recoup_{service}"
    migrator, server, reader = roles_of(service)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for role in (migrator, server, reader):
            _make_role(connection, role, secrets.password(role))
        _make_database(connection, name, owner=migrator, others=(server, reader))
    return Database(
        service,
        name,
        url=_url(admin_url, name, server, secrets),
        reader_url=_url(admin_url, name, reader, secrets),
        migrator_url=_url(admin_url, name, migrator, secrets),
        admin_url=urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}")),
    )


def drop_database(database: Database) -> None:
    """Drop the database, whoever is connected to it. Its roles stay: they belong to the server."""
    server_url = urlunsplit(urlsplit(database.admin_url)._replace(path="/postgres"))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))


def _make_role(connection: psycopg.Connection, role: str, password: str) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = sql.SQL("ALTER" if exists else "CREATE")
    login = sql.SQL("{} ROLE {} LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD {}")
    connection.execute(login.format(verb, sql.Identifier(role), sql.Literal(password)))


def _make_database(connection: psycopg.Connection, name: str, owner: str, others: tuple[str, ...]) -> None:
    database = sql.Identifier(name)
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
        # An administrator who is no superuser may give a database away only to a role whose member it is.
        if not _is_superuser(connection):
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    grantees = sql.SQL(", ").join(sql.Identifier(role) for role in others)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, grantees))


def _is_superuser(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    return bool(row and row[0])


def _url(admin_url: str, name: str, role: str, secrets: Secrets) -> str:
    parts = urlsplit(admin_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role)}:{secrets.password(role)}@{host}", path=f"/{name}"))
