"""Bring a service's database to its newest schema, as the role that owns it.

A service's revisions are in `services/<service>/migrations/versions`; all share the alembic environment in
`deploy/migrations`. A revision reads what it is to be run with by `from alembic import context` and
`context.get_x_argument(as_dictionary=True)`: `service`, `clock` (real or simulated) and `partitions`.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Final, Literal

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from deploy.local.child import PlatformError
from deploy.local.databases import Database
from deploy.local.places import ROOT

ENVIRONMENT: Final = ROOT / "deploy" / "migrations"
PARTITIONS: Final = 8
"""How many partitions a new log has; topics.yaml says the same, and neither ever changes."""

Clock = Literal["real", "simulated"]


def migrate(database: Database, *, clock: Clock = "real", partitions: int = PARTITIONS) -> None:
    """Apply every revision that the database lacks. The clock and the count of partitions are of a new log only."""
    configuration = _configuration(database.service, clock, partitions)
    configuration.attributes["url"] = database.migrator_url
    command.upgrade(configuration, "head")


def missing_revisions(database: Database) -> list[str]:
    """The revisions that the database lacks, oldest first; all of them when it was never migrated."""
    script = ScriptDirectory.from_config(_configuration(database.service, "real", PARTITIONS))
    with psycopg.connect(database.migrator_url) as connection:
        present = connection.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone()
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall() if present == (True,) else []
    applied = {revision.revision for (head,) in rows for revision in script.iterate_revisions(head, "base")}
    every = [revision.revision for revision in script.walk_revisions()]
    return [revision for revision in reversed(every) if revision not in applied]


def versions_of(service: str) -> Path:
    """The folder of the service's revisions."""
    return ROOT / "services" / service / "migrations" / "versions"


def _configuration(service: str, clock: Clock, partitions: int) -> Config:
    versions = versions_of(service)
    if not versions.is_dir():
        message = f"The service {service} has no migrations: {versions} does not exist."
        raise PlatformError(message)
    arguments = Namespace(x=[f"service={service}", f"clock={clock}", f"partitions={partitions}"])
    configuration = Config(cmd_opts=arguments)
    configuration.set_main_option("script_location", str(ENVIRONMENT))
    configuration.set_main_option("path_separator", "newline")
    configuration.set_main_option("version_locations", str(versions))
    return configuration
