"""What every Idempotency-Key was first used for, by whom and why: a keyed digest of the command, never its body."""

from __future__ import annotations

from alembic import op

revision = "gateway_0002"
down_revision = "gateway_0001"

SQL = """
CREATE TABLE gateway.requests (
    tenant      uuid NOT NULL,
    client      text NOT NULL,
    given_id    uuid NOT NULL,
    digest      bytea NOT NULL CHECK (octet_length(digest) = 32),
    request_id  uuid NOT NULL,
    actor       text NOT NULL,
    reason      text,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, client, given_id)
);
CREATE INDEX reasons ON gateway.requests (tenant, client, request_id) WHERE reason IS NOT NULL;

ALTER TABLE gateway.requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.requests FORCE ROW LEVEL SECURITY;
CREATE POLICY client ON gateway.requests
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[])))
           AND client = (SELECT current_setting('recoup.client')));
GRANT SELECT, INSERT ON gateway.requests TO recoup_gateway;
"""


def upgrade() -> None:
    """Make the table, to which the service may only add."""
    op.get_bind().exec_driver_sql(SQL)
