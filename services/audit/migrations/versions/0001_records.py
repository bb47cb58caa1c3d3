"""The kernel's log, whose checkpoints say how far was heard, and audit's own records."""

from __future__ import annotations

from pathlib import Path

from alembic import context, op

from kernel.store import schema_sql

revision = "audit_0001"
down_revision = None


def upgrade() -> None:
    """Apply both schemas as they are written down in SQL."""
    given = context.get_x_argument(as_dictionary=True)
    log = schema_sql("audit", partitions=int(given["partitions"]), clock=given["clock"])
    records = (Path(__file__).parents[2] / "tables.sql").read_text(encoding="utf-8")
    driver = op.get_bind().connection.driver_connection
    assert driver is not None, "a migration runs on a connection"
    for sql in (log, records):
        # By the driver alone, which takes many statements and a % that is none of its placeholders.
        driver.execute(sql)
