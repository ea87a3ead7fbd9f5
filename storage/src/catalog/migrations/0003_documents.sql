-- Small state of other rooms: alerts, incidents, notifications on their way, reports. The body is JSON.
CREATE TABLE documents (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    updated_unix_nano INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX documents_by_time ON documents (kind, updated_unix_nano DESC, id);
