-- One row: the version of the catalog's content; WAL frames up to the floor are of no use any more.
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    wal_floor INTEGER NOT NULL
);
INSERT INTO state (id, version, wal_floor) VALUES (1, 0, 0);

-- The live segments. Columns are what is asked for in SQL; `meta` is the whole of it (JSON of SegmentMeta).
CREATE TABLE segments (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    table_name TEXT NOT NULL,
    start_unix_nano INTEGER NOT NULL,
    end_unix_nano INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    file_bytes INTEGER NOT NULL,
    meta TEXT NOT NULL
);
CREATE INDEX segments_by_time ON segments (tenant, table_name, start_unix_nano);

-- Rows of WAL frames up to the sequence are in segments.
CREATE TABLE checkpoints (
    tenant TEXT NOT NULL,
    table_name TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (tenant, table_name)
);

-- Requests stored lately; a repetition is recognised by them after a restart.
CREATE TABLE batch_keys (
    tenant TEXT NOT NULL,
    batch_key BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    stored_unix_nano INTEGER NOT NULL,
    PRIMARY KEY (tenant, batch_key)
) WITHOUT ROWID;
CREATE INDEX batch_keys_by_sequence ON batch_keys (sequence);
