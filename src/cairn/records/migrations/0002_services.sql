-- What the services behind the APIs keep and ask for.

ALTER TABLE runs ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN start_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN end_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN update_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN schedule TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN experiment TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN archived BIGINT NOT NULL DEFAULT 0;
UPDATE runs SET display_name = @WORD(display_name), start_time = @COUNT(start_time), end_time = @COUNT(end_time),
    update_time = @COUNT(update_time);
CREATE INDEX runs_by_store ON runs (store, n);
DROP INDEX runs_by_pipeline;
CREATE INDEX runs_by_store_pipeline ON runs (store, pipeline_name, n);
CREATE INDEX runs_by_state ON runs (store, state, n);
CREATE INDEX runs_by_display_name ON runs (store, display_name, n);
CREATE INDEX runs_by_create_time ON runs (store, create_time, n);
CREATE INDEX runs_by_end_time ON runs (store, end_time, n);
CREATE INDEX runs_by_archived ON runs (archived, n);
CREATE INDEX runs_by_schedule ON runs (schedule, n) WHERE schedule <> '';
CREATE INDEX runs_by_experiment ON runs (experiment, n) WHERE experiment <> '';

-- A metadata store that a client has created has a create_time; runs have one in any case.
ALTER TABLE metadata_stores ADD COLUMN create_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE metadata_stores ADD COLUMN description TEXT NOT NULL DEFAULT '';

ALTER TABLE contexts ADD COLUMN update_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contexts ADD COLUMN schema_version TEXT NOT NULL DEFAULT '';
ALTER TABLE contexts ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE contexts ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
UPDATE contexts SET update_time = create_time;
CREATE INDEX contexts_by_store ON contexts (store, n);

ALTER TABLE artifacts ADD COLUMN update_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE artifacts ADD COLUMN state TEXT NOT NULL DEFAULT 'LIVE';
ALTER TABLE artifacts ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE artifacts ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
UPDATE artifacts SET update_time = create_time;
CREATE INDEX artifacts_by_store ON artifacts (store, n);
CREATE INDEX artifacts_by_schema ON artifacts (store, schema_title, n);
CREATE INDEX artifacts_by_display_name ON artifacts (store, display_name, n);
CREATE INDEX artifacts_by_create_time ON artifacts (store, create_time, n);

-- An execution that a client records belongs to no run. SQLite changes a column by building the table anew.
@IF(sqlite)
CREATE TABLE executions_anew (
    n               @SERIAL,
    store           BIGINT NOT NULL REFERENCES metadata_stores (n),
    id              TEXT NOT NULL,
    run             BIGINT REFERENCES runs (n),
    schema_title    TEXT NOT NULL,
    state           TEXT NOT NULL,
    display_name    TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    create_time     BIGINT NOT NULL,
    update_time     BIGINT NOT NULL,
    schema_version  TEXT NOT NULL DEFAULT '',
    description     TEXT NOT NULL DEFAULT '',
    labels          TEXT NOT NULL DEFAULT '{}',
    UNIQUE (id, store)
);
INSERT INTO executions_anew
    (n, store, id, run, schema_title, state, display_name, metadata, create_time, update_time)
    SELECT n, store, id, run, schema_title, state, display_name, metadata, create_time, update_time FROM executions;
DROP TABLE executions;
ALTER TABLE executions_anew RENAME TO executions;
CREATE INDEX executions_by_run ON executions (run);
@END
@IF(postgres)
ALTER TABLE executions ALTER COLUMN run DROP NOT NULL;
ALTER TABLE executions ADD COLUMN schema_version TEXT NOT NULL DEFAULT '';
ALTER TABLE executions ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE executions ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
@END
CREATE INDEX executions_by_store ON executions (store, n);

ALTER TABLE events ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';

-- Things of the API that are kept as a whole; `domain/documents.py`.
CREATE TABLE documents (
    n               @UNREPEATED,
    store           BIGINT NOT NULL REFERENCES metadata_stores (n),
    kind            TEXT NOT NULL,
    parent          TEXT NOT NULL,
    id              TEXT NOT NULL,
    display_name    TEXT NOT NULL,
    state           TEXT NOT NULL,
    owner           TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    due             BIGINT NOT NULL,    -- microseconds since the epoch; 0: never
    create_time     BIGINT NOT NULL,
    update_time     BIGINT NOT NULL,
    body            TEXT NOT NULL,
    UNIQUE (kind, id, store, parent)
);
CREATE UNIQUE INDEX documents_by_request ON documents (kind, store, request_id) WHERE request_id <> '';
CREATE INDEX documents_by_parent ON documents (kind, store, parent, n);
CREATE INDEX documents_by_display_name ON documents (kind, display_name, n);
CREATE INDEX documents_due ON documents (kind, due) WHERE due > 0;

CREATE TABLE document_labels (
    document    BIGINT NOT NULL REFERENCES documents (n) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (document, name)
) @CLUSTERED;
CREATE INDEX document_labels_by_name ON document_labels (name, value, document);

-- Who may ask the API. A token itself is never kept: `verifier` is its SHA-256, or the public key of an account.
CREATE TABLE credentials (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,      -- token | key
    verifier        TEXT NOT NULL,
    identity        TEXT NOT NULL,
    roles           TEXT NOT NULL,      -- JSON: project, or * for all of them -> role
    create_time     BIGINT NOT NULL,
    expire_time     BIGINT NOT NULL,    -- 0: never
    use_time        BIGINT NOT NULL
);
CREATE UNIQUE INDEX credentials_by_verifier ON credentials (verifier);
