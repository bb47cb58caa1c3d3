"""API keys, and the rows of placement batches."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "gateway_0001"
down_revision = None


def upgrade() -> None:
    """Apply the schema as it is written down in SQL."""
    sql = (Path(__file__).parents[2] / "tables.sql").read_text()
    op.get_bind().exec_driver_sql(sql)
