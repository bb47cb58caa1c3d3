-- What the gateway keeps: API keys by their hashes, and what became of the rows of placement batches. No body is kept.
CREATE SCHEMA gateway;

CREATE TABLE gateway.api_keys (
    key_id      text PRIMARY KEY CHECK (key_id ~ '^[a-z0-9]{12}$'),
    tenant      uuid NOT NULL,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    name        text NOT NULL,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    clients     text[] NOT NULL CHECK (cardinality(clients) > 0),
    scopes      text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);

CREATE TABLE gateway.batches (
    tenant     uuid NOT NULL,
    client     text NOT NULL,
    job_id     uuid NOT NULL,
    format     text NOT NULL CHECK (format IN ('ndjson', 'csv')),
    state      text NOT NULL CHECK (state IN ('receiving', 'complete', 'interrupted', 'stopped')),
    reason     jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, client, job_id)
);

CREATE TABLE gateway.batch_rows (
    tenant           uuid NOT NULL,
    client           text NOT NULL,
    job_id           uuid NOT NULL,
    row              integer NOT NULL CHECK (row > 0),
    client_reference text,
    status           text NOT NULL CHECK (status IN ('accepted', 'quarantined', 'duplicate', 'refused')),
    account_id       uuid,
    amount_minor     bigint,
    currency         text,
    errors           jsonb NOT NULL,
    warnings         jsonb NOT NULL,
    PRIMARY KEY (tenant, client, job_id, row),
    FOREIGN KEY (tenant, client, job_id) REFERENCES gateway.batches
);

ALTER TABLE gateway.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.api_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.batches ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.batches FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.batch_rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.batch_rows FORCE ROW LEVEL SECURITY;

-- The tenant of a request is known only once its key was found: so a key is seen by whoever names it, one at a time.
CREATE POLICY named ON gateway.api_keys FOR SELECT USING (key_id = (SELECT current_setting('recoup.key')));
CREATE POLICY tenants ON gateway.api_keys
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[]))));
CREATE POLICY client ON gateway.batches
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[])))
           AND client = (SELECT current_setting('recoup.client')));
CREATE POLICY client ON gateway.batch_rows
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[])))
           AND client = (SELECT current_setting('recoup.client')));

GRANT USAGE ON SCHEMA gateway TO recoup_gateway;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON gateway.api_keys TO recoup_gateway;
GRANT SELECT, INSERT, UPDATE (state, reason, updated_at) ON gateway.batches TO recoup_gateway;
GRANT SELECT, INSERT, UPDATE (client_reference, status, account_id, amount_minor, currency, errors, warnings)
    ON gateway.batch_rows TO recoup_gateway;
