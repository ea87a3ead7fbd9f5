-- What derived tables remember between WAL frames, as of their checkpoints: halves of calls, patterns, versions.
CREATE TABLE derived_states (
    tenant TEXT NOT NULL,
    table_name TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (tenant, table_name)
);
