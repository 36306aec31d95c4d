-- Types and keys in capitals with a leading @ are the dialect's own; see migrations/__init__.py.
-- `n` columns are narrow keys that grow with time: neighbours in time are neighbours on disk.

CREATE TABLE head (
    one         BIGINT PRIMARY KEY CHECK (one = 1),
    sequence    BIGINT NOT NULL,   -- the journal's last number
    writes      BIGINT NOT NULL,   -- transactions committed
    identity    TEXT NOT NULL      -- of this database; copies share it
);

CREATE TABLE settings (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL
);

CREATE TABLE metadata_stores (
    n           @SERIAL,
    project     TEXT NOT NULL,
    location    TEXT NOT NULL,
    UNIQUE (project, location)
);

CREATE TABLE specs (
    digest      TEXT PRIMARY KEY,
    content     TEXT NOT NULL
);

CREATE TABLE runs (
    n               @UNREPEATED,
    uid             TEXT NOT NULL UNIQUE,
    store           BIGINT NOT NULL REFERENCES metadata_stores (n),
    job_id          TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    pipeline_name   TEXT NOT NULL,
    spec_digest     TEXT NOT NULL REFERENCES specs (digest),
    state           TEXT NOT NULL,
    create_time     BIGINT NOT NULL,
    body            TEXT NOT NULL,
    UNIQUE (store, job_id)
);
CREATE UNIQUE INDEX runs_by_request ON runs (store, request_id) WHERE request_id <> '';
CREATE INDEX runs_by_pipeline ON runs (pipeline_name, n);
CREATE INDEX runs_by_spec ON runs (spec_digest);
CREATE INDEX runs_open ON runs (n) WHERE state IN ('PENDING', 'RUNNING', 'CANCELLING');

CREATE TABLE run_labels (
    run         BIGINT NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (run, name)
) @CLUSTERED;
CREATE INDEX run_labels_by_name ON run_labels (name, value, run);

CREATE TABLE claims (
    run         BIGINT PRIMARY KEY REFERENCES runs (n) ON DELETE CASCADE,
    fence       BIGINT NOT NULL,
    pid         BIGINT NOT NULL DEFAULT 0,  -- 0: nobody's
    start_ticks BIGINT NOT NULL DEFAULT 0,
    boot_id     TEXT NOT NULL DEFAULT '',
    host        TEXT NOT NULL DEFAULT '',
    until_boot  BIGINT NOT NULL DEFAULT 0,  -- microseconds since the owner's boot
    until_clock BIGINT NOT NULL DEFAULT 0   -- microseconds since the epoch by `Connection.clock`, for other machines
);

CREATE TABLE tasks (
    n           @SERIAL,
    run         BIGINT NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    path        TEXT NOT NULL,
    name        TEXT NOT NULL,
    component   TEXT NOT NULL,
    kind        TEXT NOT NULL,
    state       TEXT NOT NULL,
    create_time BIGINT NOT NULL,
    start_time  BIGINT NOT NULL,
    end_time    BIGINT NOT NULL,
    body        TEXT NOT NULL,
    UNIQUE (run, path)
);

CREATE TABLE attempts (
    n           @SERIAL,
    run         BIGINT NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    path        TEXT NOT NULL,
    number      BIGINT NOT NULL,
    uid         TEXT NOT NULL,
    state       TEXT NOT NULL,
    directory   TEXT NOT NULL,
    body        TEXT NOT NULL,
    UNIQUE (run, path, number)
);

CREATE TABLE leases (
    attempt         TEXT PRIMARY KEY,
    run             BIGINT NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    machine         TEXT NOT NULL,
    directory       TEXT NOT NULL,
    cpu_millis      BIGINT NOT NULL,
    memory_bytes    BIGINT NOT NULL,
    accelerators    BIGINT NOT NULL,
    devices         TEXT NOT NULL       -- indices of its accelerators on the machine, with commas between
);
CREATE INDEX leases_by_run ON leases (run);

CREATE TABLE demands (
    run             BIGINT PRIMARY KEY REFERENCES runs (n) ON DELETE CASCADE,
    machine         TEXT NOT NULL,
    since           BIGINT NOT NULL,    -- microseconds since boot: when it was first denied what it waits for
    seen            BIGINT NOT NULL,    -- when it last asked
    cpu_millis      BIGINT NOT NULL,
    memory_bytes    BIGINT NOT NULL,
    accelerators    BIGINT NOT NULL
);

CREATE TABLE journal (
    sequence    @ASSIGNED,
    run         BIGINT NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    time        BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    path        TEXT NOT NULL,
    state       TEXT NOT NULL,
    detail      TEXT NOT NULL
);
CREATE INDEX journal_by_run ON journal (run, sequence);

CREATE TABLE requests (
    sequence    @ASSIGNED,
    run         BIGINT NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    detail      TEXT NOT NULL
);
CREATE INDEX requests_by_run ON requests (run);

CREATE TABLE contexts (
    n               @SERIAL,
    store           BIGINT NOT NULL REFERENCES metadata_stores (n),
    id              TEXT NOT NULL,
    schema_title    TEXT NOT NULL,
    display_name    TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    create_time     BIGINT NOT NULL,
    UNIQUE (id, store)
);
CREATE INDEX contexts_by_schema ON contexts (schema_title, n);

CREATE TABLE context_parents (
    child       BIGINT NOT NULL REFERENCES contexts (n) ON DELETE CASCADE,
    parent      BIGINT NOT NULL REFERENCES contexts (n) ON DELETE CASCADE,
    PRIMARY KEY (child, parent)
) @CLUSTERED;
CREATE INDEX context_parents_by_parent ON context_parents (parent);

CREATE TABLE executions (
    n               @SERIAL,
    store           BIGINT NOT NULL REFERENCES metadata_stores (n),
    id              TEXT NOT NULL,
    run             BIGINT NOT NULL REFERENCES runs (n),
    schema_title    TEXT NOT NULL,
    state           TEXT NOT NULL,
    display_name    TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    create_time     BIGINT NOT NULL,
    update_time     BIGINT NOT NULL,
    UNIQUE (id, store)
);
CREATE INDEX executions_by_run ON executions (run);

CREATE TABLE artifacts (
    n               @SERIAL,
    store           BIGINT NOT NULL REFERENCES metadata_stores (n),
    id              TEXT NOT NULL,
    schema_title    TEXT NOT NULL,
    uri             TEXT NOT NULL,
    display_name    TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    details         TEXT NOT NULL,  -- the rest of the type, the custom path and the fingerprint
    create_time     BIGINT NOT NULL,
    UNIQUE (id, store)
);
CREATE INDEX artifacts_by_uri ON artifacts (substr(uri, 1, 200));

CREATE TABLE events (
    execution   BIGINT NOT NULL REFERENCES executions (n) ON DELETE CASCADE,
    type        TEXT NOT NULL,
    name        TEXT NOT NULL,
    position    BIGINT NOT NULL,
    artifact    BIGINT NOT NULL REFERENCES artifacts (n),
    time        BIGINT NOT NULL,
    PRIMARY KEY (execution, type, name, position)
) @CLUSTERED;
CREATE INDEX events_by_artifact ON events (artifact);

CREATE TABLE associations (
    context     BIGINT NOT NULL REFERENCES contexts (n) ON DELETE CASCADE,
    execution   BIGINT NOT NULL REFERENCES executions (n) ON DELETE CASCADE,
    PRIMARY KEY (context, execution)
) @CLUSTERED;
CREATE INDEX associations_by_execution ON associations (execution);

CREATE TABLE attributions (
    context     BIGINT NOT NULL REFERENCES contexts (n) ON DELETE CASCADE,
    artifact    BIGINT NOT NULL REFERENCES artifacts (n) ON DELETE CASCADE,
    PRIMARY KEY (context, artifact)
) @CLUSTERED;
CREATE INDEX attributions_by_artifact ON attributions (artifact);

CREATE TABLE cache_entries (
    n               @SERIAL,
    run             BIGINT NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    scope           TEXT NOT NULL,
    key             TEXT NOT NULL,
    component       TEXT NOT NULL,
    path            TEXT NOT NULL,
    create_time     BIGINT NOT NULL,
    body            TEXT NOT NULL
);
CREATE INDEX cache_entries_by_key ON cache_entries (key, scope);
CREATE INDEX cache_entries_by_component ON cache_entries (scope, component, n);
CREATE INDEX cache_entries_by_run ON cache_entries (run);

CREATE TABLE spills (
    run         BIGINT NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    uri         TEXT NOT NULL,
    PRIMARY KEY (run, uri)
) @CLUSTERED;
CREATE INDEX spills_by_uri ON spills (uri);
