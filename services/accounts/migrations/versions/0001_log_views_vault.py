"""The kernel's log, the read tables of accounts, and the vault of persons."""

from __future__ import annotations

from pathlib import Path

from alembic import context, op

from kernel.store import schema_sql

revision = "accounts_0001"
down_revision = None


def upgrade() -> None:
    """Apply both schemas as they are written down in SQL."""
    given = context.get_x_argument(as_dictionary=True)
    log = schema_sql("accounts", partitions=int(given["partitions"]), clock=given["clock"])
    tables = (Path(__file__).parents[2] / "tables.sql").read_text(encoding="utf-8")
    for sql in (log, tables):
        op.get_bind().exec_driver_sql(sql, execution_options={"no_parameters": True})
