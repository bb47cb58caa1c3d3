"""The alembic environment of every service. `deploy.local.migrate` says which database, as its owner."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool


def run() -> None:
    """Apply the revisions, all in one transaction: a schema is either the old one or the new one."""
    url = make_url(context.config.attributes["url"]).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


run()
