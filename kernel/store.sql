-- The log of one service, as an auditor reads it. Roles: :migrator owns, :service adds, :reader reads all tenants.
-- The three roles exist before this runs, and it runs as :migrator.

CREATE SCHEMA log AUTHORIZATION :migrator;

-- One row: which log this is. A process whose settings differ refuses to start.
CREATE TABLE log.meta (
    log_id      uuid     NOT NULL DEFAULT gen_random_uuid(),
    partitions  smallint NOT NULL CHECK (partitions BETWEEN 1 AND 1024),
    clock       text     NOT NULL CHECK (clock IN ('real', 'simulated')),
    only_row    boolean  PRIMARY KEY DEFAULT true CHECK (only_row)
);

-- Where each partition ends. Locked FOR UPDATE, in partition order, before anything else.
CREATE TABLE log.heads (
    partition   smallint    PRIMARY KEY,
    number      bigint      NOT NULL CHECK (number >= -1),
    chain       bytea       NOT NULL CHECK (length(chain) = 32),
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The log itself: numbered densely under the head's lock, so that number order is commit order.
CREATE TABLE log.events (
    partition      smallint    NOT NULL REFERENCES log.heads,
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
    PRIMARY KEY (partition, number),
    UNIQUE (tenant, stream, version)
);

-- Every decided command with its first answer: accepted, already so, and refused alike.
CREATE TABLE log.commands (
    tenant     uuid   NOT NULL,
    command_id uuid   NOT NULL,
    input      bytea  NOT NULL CHECK (length(input) = 32),
    stream     text   NOT NULL,
    version    bigint NOT NULL CHECK (version >= 0),
    outcome    bytea  NOT NULL,
    PRIMARY KEY (tenant, command_id)
);

-- How far each partition has been published, and who publishes it until when (by this database's clock).
CREATE TABLE log.relays (
    partition smallint    PRIMARY KEY REFERENCES log.heads,
    sent      bigint      NOT NULL DEFAULT -1 CHECK (sent >= -1),
    epoch     bigint      NOT NULL DEFAULT 0,
    holder    text,
    until     timestamptz
) WITH (fillfactor = 50);

-- How far each consumer of this service has come in each partition of another service's log.
CREATE TABLE log.checkpoints (
    consumer   text     NOT NULL,
    source     text     NOT NULL,
    partition  smallint NOT NULL,
    log_id     uuid     NOT NULL,
    last       bigint   NOT NULL CHECK (last >= -1),
    chain      bytea    NOT NULL CHECK (length(chain) = 32),
    react_from bigint   NOT NULL DEFAULT 0,
    halted     text,
    PRIMARY KEY (consumer, source, partition)
) WITH (fillfactor = 50);

-- Facts whose effect cannot work yet, with their bytes; error is NULL for those queued behind one of the same stream.
CREATE TABLE log.parked (
    consumer  text     NOT NULL,
    source    text     NOT NULL,
    partition smallint NOT NULL,
    number    bigint   NOT NULL CHECK (number >= 0),
    tenant    uuid     NOT NULL,
    stream    text     NOT NULL,
    error     text,
    record    bytea    NOT NULL,
    PRIMARY KEY (consumer, source, partition, number),
    FOREIGN KEY (consumer, source, partition) REFERENCES log.checkpoints
);

INSERT INTO log.meta (partitions, clock) VALUES (:partitions, ':clock');
INSERT INTO log.heads
    SELECT p, -1, sha256('\x03'::bytea || uuid_send(log_id) || int2send(p::smallint)), 'epoch'
    FROM log.meta, generate_series(0, partitions - 1) AS p;
INSERT INTO log.relays (partition) SELECT partition FROM log.heads;

-- Append-only is made true here, for the owner as well.
CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.events
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.commands
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
CREATE TRIGGER append_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON log.meta
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

-- Begins a batch: names its tenants, locks the heads it will append to in partition order, and only then reads where they
-- end and what time it is.
CREATE FUNCTION log.begin_batch(tenants text, wanted smallint[])
    RETURNS TABLE (partition smallint, number bigint, chain bytea, recorded_at timestamptz, now timestamptz)
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('recoup.tenants', tenants, true);
    PERFORM FROM log.heads h WHERE h.partition = ANY (wanted) ORDER BY h.partition FOR UPDATE;
    RETURN QUERY SELECT h.partition, h.number, h.chain, h.recorded_at, clock_timestamp()
        FROM log.heads h WHERE h.partition = ANY (wanted);
END $$;

-- A batch that touches other rows than it meant to is a bug: its statement fails, and the batch with it.
CREATE FUNCTION log.expect(changed bigint, expected bigint, target text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF changed <> expected THEN
        RAISE EXCEPTION '%: % of % rows to change exist', target, changed, expected USING ERRCODE = 'no_data_found';
    END IF;
END $$;

-- The last number of a partition recorded at or before an instant, -1 when none: recorded_at never falls within one.
CREATE FUNCTION log.cut(p smallint, instant timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := -1;
    high bigint := (SELECT number FROM log.heads WHERE partition = p);
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT recorded_at FROM log.events WHERE partition = p AND number = middle) <= instant THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;

-- Row-level security, forced on the owner too. Without the setting a statement fails; it never reads zero rows.
ALTER TABLE log.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE log.events FORCE ROW LEVEL SECURITY;
ALTER TABLE log.commands ENABLE ROW LEVEL SECURITY;
ALTER TABLE log.commands FORCE ROW LEVEL SECURITY;
ALTER TABLE log.parked ENABLE ROW LEVEL SECURITY;
ALTER TABLE log.parked FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON log.events TO :service, :migrator
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[]))));
CREATE POLICY tenants ON log.commands TO :service, :migrator
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[]))));
-- Parked facts are the operator's concern, whoever they belong to; only the service's own roles reach them.
CREATE POLICY all_tenants ON log.parked TO :service, :reader, :migrator USING (true);
CREATE POLICY all_tenants ON log.events FOR SELECT TO :reader USING (true);
CREATE POLICY all_tenants ON log.commands FOR SELECT TO :reader USING (true);

GRANT USAGE ON SCHEMA log TO :service, :reader;
GRANT SELECT ON log.meta, log.heads, log.events, log.relays, log.checkpoints, log.parked TO :service, :reader;
GRANT SELECT ON log.commands TO :service;
GRANT UPDATE (number, chain, recorded_at) ON log.heads TO :service;
GRANT INSERT ON log.events, log.commands TO :service;
GRANT UPDATE (sent, epoch, holder, until) ON log.relays TO :service, :reader;
GRANT INSERT, UPDATE ON log.checkpoints TO :service;
GRANT INSERT, UPDATE, DELETE ON log.parked TO :service;
