"""Rebuilds what accounts shows its readers from its log, and takes it down byte for byte."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from deploy.local.databases import Database
from deploy.local.platform import Platform
from deploy.local.programs import PROGRAMS, environment_of

SCHEMA: Final = "views"
SECONDS_MAX: Final = 120.0

_TABLES: Final = (
    "SELECT c.relname, array_agg(a.attname ORDER BY k.ordinality) FROM pg_class c"
    " JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
    " CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, ordinality)"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum"
    " WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' GROUP BY 1 ORDER BY 1"
)


class RebuildFailed(Exception):  # noqa: N818 - named for what happened.
    """The rebuild ended with an error; the text is what it said."""


def rebuild(platform: Platform) -> None:
    """Build the read tables anew, by the service's own command. Nobody may send commands meanwhile."""
    (program,) = [program for program in PROGRAMS if program.service == "accounts"]
    environment = environment_of(program, platform.surroundings)
    environment["RECOUP_MIGRATOR_URL"] = platform.surroundings.databases["accounts"].migrator_url
    command = [sys.executable, "-P", "-m", "services.accounts", "rebuild"]
    ended = subprocess.run(  # noqa: S603 - the command is ours.
        command, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    if ended.returncode != 0:
        message = f"the rebuild of accounts ended with {ended.returncode}:\n{ended.stderr or ended.stdout}"
        raise RebuildFailed(message)


def taken_down(database: Database) -> bytes:
    """Every row of every read table, sorted by its key, as PostgreSQL writes it out."""
    dumped = bytearray()
    with psycopg.connect(database.admin_url) as connection, connection.cursor() as cursor:
        for table, key in cursor.execute(_TABLES, [SCHEMA]).fetchall():
            names = SQL(", ").join(map(Identifier, key))
            copy = SQL("COPY (SELECT * FROM {} ORDER BY {}) TO STDOUT").format(Identifier(SCHEMA, table), names)
            with cursor.copy(copy) as rows:
                for row in rows:
                    dumped += row
    return bytes(dumped)
