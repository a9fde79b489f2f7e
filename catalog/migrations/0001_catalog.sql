-- Times are milliseconds since 1970-01-01T00:00:00Z, truth values 0 and 1, ids UUIDs as text. BYTEA is BLOB on SQLite.

CREATE TABLE organisations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Who signs in. An address is kept in lower case: it is one account however it is typed.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    change_password BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    signed_in_at BIGINT
);

-- Custom roles; the built-in ones are code. `permissions`: names with spaces between.
CREATE TABLE roles (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (organisation_id, name)
);

-- `role`: `owner`, `administrator`, `security-manager`, `security-analyst`, or the id of a custom role. `active`: an organisation
-- decides for itself alone; the same user may be active in another one.
CREATE TABLE memberships (
    user_id TEXT NOT NULL REFERENCES users (id),
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    role TEXT NOT NULL,
    active BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, organisation_id)
);
CREATE INDEX memberships_by_organisation ON memberships (organisation_id);

-- `hash`: SHA-256 of the key, hexadecimal. `prefix`: its first characters, so that people recognise it.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX api_keys_by_organisation ON api_keys (organisation_id, created_at);

CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    csrf TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

-- Who changed what. Names are copied: an entry stays readable when what it names is gone.
CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    user_id TEXT,
    actor TEXT NOT NULL,
    via TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    details TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (organisation_id, at);

-- Where definitions come from. `kind`: `traffic-analyzer`, `upload`, `url`. `settings`: JSON of that kind.
-- `sync_*`: the sync that runs or ran last.
CREATE TABLE sources (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    settings TEXT NOT NULL,
    exclude_empty BIGINT NOT NULL,
    auto_sync BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    sync_id TEXT,
    sync_requested_at BIGINT,
    sync_started_at BIGINT,
    synced_at BIGINT,
    sync_error TEXT,
    UNIQUE (organisation_id, name)
);

-- `hash`: SHA-256, hexadecimal. `instance`: the collector that used it.
CREATE TABLE registration_tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    source_id TEXT NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    instance TEXT
);
CREATE INDEX registration_tokens_by_source ON registration_tokens (source_id);

-- A collector that registered. `next_hash`: a credential that was handed out and not yet used; `previous_hash`: the one
-- before, dead, kept to tell a withdrawn credential from an unknown one. `sync_*`: the last sync of the source that it reported on;
-- `sync_state`: `running`, `completed`, `failed`.
CREATE TABLE collectors (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    source_id TEXT NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    instance TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    address TEXT NOT NULL,
    credential_hash TEXT NOT NULL UNIQUE,
    next_hash TEXT UNIQUE,
    previous_hash TEXT,
    registered_at BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    revoked_at BIGINT,
    heartbeat_at BIGINT,
    skew_millis BIGINT,
    hosts_known BIGINT NOT NULL DEFAULT 0,
    hosts_waiting BIGINT NOT NULL DEFAULT 0,
    outbox_pending BIGINT NOT NULL DEFAULT 0,
    outbox_oldest_seconds BIGINT,
    outbox_merged BIGINT NOT NULL DEFAULT 0,
    last_error TEXT,
    sync_id TEXT,
    sync_state TEXT,
    sync_error TEXT,
    UNIQUE (source_id, instance)
);
CREATE INDEX collectors_by_previous ON collectors (previous_hash);

-- What APIs are linked to. `url` is normalised; its parts are kept to compare by segments.
CREATE TABLE targets (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    scheme TEXT NOT NULL,
    host TEXT NOT NULL,
    port BIGINT NOT NULL,
    path TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    UNIQUE (organisation_id, url)
);
CREATE INDEX targets_by_host ON targets (organisation_id, host);

-- An API: what stands at one base URL, whoever told of it. With a target it is in the catalog, without in discovery.
-- The counts are of its definitions' latest revisions and of open findings; they are kept so that lists cost one index.
-- `observed`, `documented`: operations that are. `drift_due`: its definitions changed and drift was not yet looked for.
CREATE TABLE apis (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    base_url TEXT NOT NULL,
    scheme TEXT NOT NULL,
    host TEXT NOT NULL,
    port BIGINT NOT NULL,
    base_path TEXT NOT NULL,
    target_id TEXT REFERENCES targets (id),
    linked_at BIGINT,
    linked_by TEXT,
    hidden_at BIGINT,
    hidden_by TEXT,
    first_discovered_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    operations BIGINT NOT NULL,
    observed BIGINT NOT NULL,
    documented BIGINT NOT NULL,
    shadow BIGINT NOT NULL,
    zombie BIGINT NOT NULL,
    orphan BIGINT NOT NULL,
    contradictions BIGINT NOT NULL,
    drift_due BIGINT NOT NULL,
    critical BIGINT NOT NULL,
    high BIGINT NOT NULL,
    medium BIGINT NOT NULL,
    low BIGINT NOT NULL,
    informational BIGINT NOT NULL,
    scanned_at BIGINT
);
CREATE INDEX apis_by_host ON apis (organisation_id, host, port);
CREATE INDEX apis_by_update ON apis (organisation_id, updated_at);
CREATE INDEX apis_by_discovery ON apis (organisation_id, first_discovered_at);
CREATE INDEX apis_by_target ON apis (target_id);
CREATE INDEX apis_by_state ON apis (organisation_id, target_id, hidden_at);
CREATE INDEX apis_by_name ON apis (organisation_id, lower(name), id);

-- One provenance of an API: what one source says of it. `kind`: `observed` or `documented`. `key`: what the source calls it
-- (a collector's host, an upload's name). The source's name is copied: it may be deleted, its definitions stay.
CREATE TABLE definitions (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    api_id TEXT NOT NULL REFERENCES apis (id),
    source_id TEXT REFERENCES sources (id) ON DELETE SET NULL,
    source_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    base_url TEXT NOT NULL,
    revision_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    exchanges BIGINT,
    seen_first_at BIGINT,
    seen_last_at BIGINT,
    UNIQUE (source_id, key)
);
CREATE INDEX definitions_by_api ON definitions (api_id);
CREATE INDEX definitions_by_source ON definitions (source_id, api_id);

-- Texts of documents, each once. `encoding`: `gzip`. `hash`: SHA-256 of the plain text, hexadecimal. `size`: bytes of it.
CREATE TABLE documents (
    hash TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    encoding TEXT NOT NULL,
    body BYTEA NOT NULL
);

-- `number`: from 1 in each definition. `sequence`: the collector's. `contract_hash`: SHA-256 of what does not only count.
CREATE TABLE revisions (
    id TEXT PRIMARY KEY,
    definition_id TEXT NOT NULL REFERENCES definitions (id),
    number BIGINT NOT NULL,
    collector_id TEXT,
    sequence BIGINT,
    contract_hash TEXT NOT NULL,
    document_hash TEXT NOT NULL REFERENCES documents (hash),
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    emitted_at BIGINT,
    specification TEXT NOT NULL,
    title TEXT NOT NULL,
    api_version TEXT NOT NULL,
    operations BIGINT NOT NULL,
    warnings TEXT NOT NULL,
    UNIQUE (definition_id, number),
    UNIQUE (definition_id, collector_id, sequence)
);
CREATE INDEX revisions_by_document ON revisions (document_hash);

-- Operations of the latest revisions. `path`: the whole path template, base path included. `shape`: the same without the names
-- of parameters; what has the same method and shape is one operation of the API. `kind`: the definition's.
CREATE TABLE operations (
    definition_id TEXT NOT NULL REFERENCES definitions (id),
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    shape TEXT NOT NULL,
    api_id TEXT NOT NULL REFERENCES apis (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    summary TEXT NOT NULL,
    deprecated BIGINT NOT NULL,
    first_revision BIGINT NOT NULL,
    discovered_at BIGINT NOT NULL,
    calls BIGINT,
    seen_first_at BIGINT,
    seen_last_at BIGINT,
    PRIMARY KEY (definition_id, method, path)
);
CREATE INDEX operations_by_api ON operations (api_id, shape, method, kind);

-- What was found on each day (days since 1970-01-01, UTC), so that a picture over time costs no look at every operation.
CREATE TABLE found (
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    day BIGINT NOT NULL,
    apis BIGINT NOT NULL,
    operations BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, day)
);

-- Who calls what was observed. `kind`: `shim`, `consumer`, `client`.
CREATE TABLE callers (
    definition_id TEXT NOT NULL REFERENCES definitions (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    calls BIGINT NOT NULL,
    seen_last_at BIGINT,
    PRIMARY KEY (definition_id, kind, name)
);

-- Where what is documented and what is seen part, as of the latest revisions. `class`: `shadow`, `zombie`, `orphan`,
-- `contradiction`, `undocumented`. `operation_count`: how many operations one finding concerns; the first is named.
-- `definition_id`: the documented one, or empty where it holds for all of them.
CREATE TABLE drift (
    api_id TEXT NOT NULL REFERENCES apis (id),
    fingerprint TEXT NOT NULL,
    class TEXT NOT NULL,
    rule TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    shape TEXT NOT NULL,
    message TEXT NOT NULL,
    operation_count BIGINT NOT NULL,
    definition_id TEXT NOT NULL,
    calls BIGINT,
    seen_last_at BIGINT,
    PRIMARY KEY (api_id, fingerprint)
);
CREATE INDEX drift_by_operation ON drift (api_id, shape, method);

-- A report of a scanner that was imported.
CREATE TABLE scans (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    tool TEXT NOT NULL,
    tool_version TEXT NOT NULL,
    scanned_at BIGINT NOT NULL,
    imported_at BIGINT NOT NULL,
    imported_by TEXT NOT NULL,
    results BIGINT NOT NULL,
    matched BIGINT NOT NULL
);
CREATE INDEX scans_by_time ON scans (organisation_id, scanned_at);

-- What a scanner found. `severity`: `critical`, `high`, `medium`, `low`, `informational`. One that a later scan of the same tool
-- and API no longer reports is closed. `path`, `shape`: of the operation it is about, or empty; `url`: as the scanner wrote it.
CREATE TABLE findings (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    scan_id TEXT NOT NULL REFERENCES scans (id),
    api_id TEXT REFERENCES apis (id),
    tool TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    severity TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_name TEXT NOT NULL,
    message TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    shape TEXT NOT NULL,
    url TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    closed_at BIGINT
);
CREATE INDEX findings_by_api ON findings (api_id, closed_at);
CREATE INDEX findings_by_organisation ON findings (organisation_id, tool, fingerprint);
