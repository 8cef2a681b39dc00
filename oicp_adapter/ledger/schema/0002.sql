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
