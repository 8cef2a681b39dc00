-- Pauses asked for by people, and who did what: shown by `status`, never forgotten silently.
CREATE TABLE pause (
    operator_id INTEGER PRIMARY KEY REFERENCES operator (id),
    since       REAL NOT NULL,
    until       REAL,                           -- NULL: until somebody resumes
    reason      TEXT NOT NULL,
    by          TEXT NOT NULL                   -- user@host
);

CREATE TABLE audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    operator_id INTEGER NOT NULL REFERENCES operator (id),
    at          REAL NOT NULL,
    by          TEXT NOT NULL,
    what        TEXT NOT NULL                   -- a sentence
);
CREATE INDEX audit_by_time ON audit (operator_id, at);

-- The last push of each operator: a mark beside the file that is ahead of it shows a ledger gone back in time.
ALTER TABLE operator ADD COLUMN last_push INTEGER NOT NULL DEFAULT 0;
UPDATE operator SET last_push = coalesce((SELECT max(id) FROM push WHERE push.operator_id = operator.id), 0);
