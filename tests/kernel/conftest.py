"""The sample service's databases, for tests of the kernel."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from deploy.local.databases import Database
from kernel.store import schema_sql
from tests.kernel.sample import TABLES


@pytest.fixture
def sample_database(database: Callable[..., Database]) -> Callable[..., Database]:
    """Makes a fresh database with the log and the sample's read table; `clock="simulated"` for a simulated log."""

    def make(*, clock: str = "real") -> Database:
        made = database("sample", migrated=False)
        with psycopg.connect(made.migrator_url) as connection:
            connection.execute(schema_sql("sample", clock=clock))
            connection.execute(TABLES)
        return made

    return make
