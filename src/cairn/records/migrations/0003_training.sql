-- What training asks for: runs of other kinds than pipelines.

ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'pipeline';
ALTER TABLE runs ADD COLUMN parent TEXT NOT NULL DEFAULT '';
CREATE INDEX runs_by_store_kind ON runs (store, kind, n);
CREATE INDEX runs_by_parent ON runs (parent, n) WHERE parent <> '';

-- Points of TensorBoard time series; a series is a document. One point for each step: who writes it again writes over it.
CREATE TABLE time_series (
    document        BIGINT PRIMARY KEY REFERENCES documents (n) ON DELETE CASCADE,
    points          BIGINT NOT NULL,
    bytes           BIGINT NOT NULL,    -- of the values as they are kept
    max_step        BIGINT NOT NULL,
    max_wall_time   BIGINT NOT NULL,
    max_blobs       BIGINT NOT NULL     -- in one point
);

CREATE TABLE time_series_points (
    series          BIGINT NOT NULL REFERENCES documents (n) ON DELETE CASCADE,
    step            BIGINT NOT NULL,
    wall_time       BIGINT NOT NULL,    -- microseconds since the epoch
    value           TEXT NOT NULL,      -- a number, a tensor in base64, or the ids of blobs with commas between
    PRIMARY KEY (series, step)
) @CLUSTERED;
