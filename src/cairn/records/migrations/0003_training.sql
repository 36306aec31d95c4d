-- What training asks for: runs of other kinds than pipelines.

ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'pipeline';
ALTER TABLE runs ADD COLUMN parent TEXT NOT NULL DEFAULT '';
CREATE INDEX runs_by_store_kind ON runs (store, kind, n);
CREATE INDEX runs_by_parent ON runs (parent, n) WHERE parent <> '';
