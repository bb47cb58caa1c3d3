-- What accounts keeps beside its log. `views` is made of facts and can be rebuilt from them; `vault` holds the persons,
-- whom no fact knows, and is erasable. recoup_accounts reads and writes one agency at a time, recoup_accounts_migrator owns.

CREATE SCHEMA views;

-- Which accounts there are, for lists: sorted by (placed_at, account_id), which never change.
CREATE TABLE views.accounts (
    tenant           uuid        NOT NULL,
    account_id       uuid        NOT NULL,
    client_id        text        NOT NULL,
    client_reference text        NOT NULL,
    batch_reference  text        NOT NULL,
    phase            smallint    NOT NULL,
    placed_at        timestamptz NOT NULL,
    version          bigint      NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant, account_id)
);
CREATE INDEX accounts_of_client ON views.accounts (tenant, client_id, placed_at, account_id);
CREATE INDEX accounts_of_agency ON views.accounts (tenant, placed_at, account_id);

-- Where the facts of each client's accounts stand in the log: the client's feed.
CREATE TABLE views.feed (
    tenant           uuid        NOT NULL,
    client_id        text        NOT NULL,
    partition        smallint    NOT NULL,
    number           bigint      NOT NULL,
    recorded_at      timestamptz NOT NULL,
    account_id       uuid        NOT NULL,
    PRIMARY KEY (tenant, client_id, partition, number)
);

-- Which clients there are.
CREATE TABLE views.clients (
    tenant    uuid   NOT NULL,
    client_id text   NOT NULL,
    version   bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant, client_id)
);

CREATE SCHEMA vault;

-- One key a person, wrapped under the platform's key. Erasing a person destroys it: the row stays with no key.
CREATE TABLE vault.persons (
    tenant    uuid NOT NULL,
    person_id uuid NOT NULL,
    key       bytea,
    PRIMARY KEY (tenant, person_id)
);

-- What was known of a person, version by version. `fields` is JSON of field name to base64 of nonce and AES-256-GCM
-- ciphertext; `content` tells under the person's key whether two versions say the same; `commitment` is what facts carry.
CREATE TABLE vault.versions (
    tenant     uuid   NOT NULL,
    person_id  uuid   NOT NULL,
    version    bigint NOT NULL CHECK (version > 0),
    content    bytea  NOT NULL CHECK (length(content) = 32),
    commitment bytea  NOT NULL CHECK (length(commitment) = 32),
    fields     text   NOT NULL,
    PRIMARY KEY (tenant, person_id, version),
    FOREIGN KEY (tenant, person_id) REFERENCES vault.persons
);

-- By what a person is found again: keyed hashes of the national id, of the exact name with the birth date, or, for who
-- gives neither, of the exact name on the same account.
CREATE TABLE vault.matches (
    tenant    uuid  NOT NULL,
    match     bytea NOT NULL CHECK (length(match) = 32),
    kind      text  NOT NULL CHECK (kind IN ('national_id', 'name_and_birth', 'name_on_account')),
    person_id uuid  NOT NULL,
    PRIMARY KEY (tenant, match),
    FOREIGN KEY (tenant, person_id) REFERENCES vault.persons
);
CREATE INDEX matches_of_person ON vault.matches (tenant, person_id);

-- Personal data of a placement that belong to no party: collateral identifiers, where credit was asked for, guarantors,
-- the court file of a judgment.
-- Encrypted as a person's fields are, under the primary debtor's key.
CREATE TABLE vault.placements (
    tenant     uuid  NOT NULL,
    account_id uuid  NOT NULL,
    digest     bytea NOT NULL CHECK (length(digest) = 32),
    person_id  uuid  NOT NULL,
    fields     text  NOT NULL,
    PRIMARY KEY (tenant, account_id, digest),
    FOREIGN KEY (tenant, person_id) REFERENCES vault.persons
);

-- Row-level security, forced on the owner too. Without the tenants' setting a statement fails; it never reads zero rows.
-- A client's own questions name the client besides; the service's writer and the agency's people name none.
DO $$
DECLARE
    name text;
    tenants text := 'tenant = ANY (ARRAY(SELECT unnest(current_setting(''recoup.tenants'')::uuid[])))';
    client text := 'coalesce(current_setting(''recoup.client'', true), '''') IN ('''', client_id)';
BEGIN
    FOREACH name IN ARRAY ARRAY['views.accounts', 'views.feed', 'views.clients'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY clients ON %s TO recoup_accounts USING (%s AND %s)', name, tenants, client);
        EXECUTE format('CREATE POLICY all_tenants ON %s TO recoup_accounts_migrator USING (true)', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['vault.persons', 'vault.versions', 'vault.matches', 'vault.placements'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenants ON %s TO recoup_accounts, recoup_accounts_migrator USING (%s)', name, tenants);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA views, vault TO recoup_accounts;
GRANT SELECT, INSERT, UPDATE, DELETE ON views.accounts, views.feed, views.clients TO recoup_accounts;
GRANT SELECT, INSERT ON vault.persons, vault.versions, vault.matches, vault.placements TO recoup_accounts;
GRANT UPDATE (key) ON vault.persons TO recoup_accounts;
GRANT UPDATE (person_id), DELETE ON vault.matches TO recoup_accounts;
