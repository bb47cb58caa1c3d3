-- Audit's own copy of every log it hears, as an auditor reads it. recoup_audit adds and reads one agency at a time,
-- recoup_audit_reader reads all of them to verify whole partitions, recoup_audit_migrator owns.

CREATE SCHEMA audit;

-- The records as they were heard, each with the hash that audit itself computed of it on that day.
CREATE TABLE audit.records (
    source         text        NOT NULL,
    log_id         uuid        NOT NULL,
    partition      smallint    NOT NULL,
    number         bigint      NOT NULL CHECK (number >= 0),
    chain          bytea       NOT NULL CHECK (length(chain) = 32),
    tenant         uuid        NOT NULL,
    stream         text        NOT NULL,
    version        bigint      NOT NULL CHECK (version > 0),
    event_id       uuid        NOT NULL,
    type           text        NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    actor          text        NOT NULL,
    command_id     uuid        NOT NULL,
    correlation_id uuid        NOT NULL,
    accounts       uuid[]      NOT NULL,
    previous       bytea       NOT NULL CHECK (length(previous) = 32),
    payload        bytea       NOT NULL CHECK (length(payload) <= 262144),
    hash           bytea       NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (source, partition, number),
    UNIQUE (tenant, source, stream, version)
);

-- Which records concern an account without standing on its own stream. An array's index cannot be used under row-level
-- security, because its operators may leak; these equalities may.
CREATE TABLE audit.mentions (
    tenant    uuid     NOT NULL,
    account   uuid     NOT NULL,
    source    text     NOT NULL,
    partition smallint NOT NULL,
    number    bigint   NOT NULL,
    PRIMARY KEY (tenant, account, source, partition, number)
);

-- Append-only is made true here, for the owner as well.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.records
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.mentions
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

-- Row-level security, forced on the owner too. Without the setting a statement fails; it never reads zero rows.
ALTER TABLE audit.records ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.records FORCE ROW LEVEL SECURITY;
ALTER TABLE audit.mentions ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.mentions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON audit.records TO recoup_audit, recoup_audit_migrator
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[]))));
CREATE POLICY tenants ON audit.mentions TO recoup_audit, recoup_audit_migrator
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[]))));
CREATE POLICY all_tenants ON audit.records FOR SELECT TO recoup_audit_reader USING (true);

GRANT USAGE ON SCHEMA audit TO recoup_audit, recoup_audit_reader;
GRANT SELECT, INSERT ON audit.records, audit.mentions TO recoup_audit;
GRANT SELECT ON audit.records TO recoup_audit_reader;
