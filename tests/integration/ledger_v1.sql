-- A ledger of version 1, dumped on the day that version was frozen. Never make it anew: see test_ledger_migrations.py
PRAGMA application_id = 1330201424;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
BEGIN TRANSACTION;
CREATE TABLE command (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    operator_id  INTEGER NOT NULL REFERENCES operator (id),
    verb         TEXT NOT NULL,
    arguments    TEXT NOT NULL,                 -- JSON
    state        TEXT NOT NULL,
    requested_at REAL NOT NULL,
    started_at   REAL,
    finished_at  REAL,
    exit_code    INTEGER,
    text         TEXT NOT NULL DEFAULT ''
);
INSERT INTO "command" VALUES(1,1,'resync','{"adopt":7}','pending',4.5,NULL,NULL,NULL,'');
CREATE TABLE evse (
    operator_id    INTEGER NOT NULL REFERENCES operator (id),
    key            TEXT NOT NULL,               -- identity: equal spellings share it
    -- Hubject's side
    wire_id        TEXT NOT NULL,
    presence       TEXT NOT NULL,               -- present, absent, unknown
    status         TEXT,                        -- last acknowledged
    status_at      REAL,
    push_id        INTEGER,                     -- the last push that concerned it; may be pruned
    in_doubt_since REAL,
    reassert_at    REAL,
    quarantine     TEXT,                        -- JSON: code, text, process_id, since, retry_at, attempts, status
    withdrawn_at   REAL,
    -- the source's side
    source_id      TEXT NOT NULL,
    desired        TEXT,                        -- what the mapped source said last
    cause          TEXT NOT NULL,
    value          TEXT NOT NULL,
    rule           TEXT NOT NULL,
    source_time    REAL,
    connectors     TEXT,                        -- JSON list: connector, value, charging
    changed_at     REAL,
    first_missing  REAL,
    last_seen      REAL,
    withheld       TEXT NOT NULL,               -- the guard that withholds its change
    PRIMARY KEY (operator_id, key)
) WITHOUT ROWID;
INSERT INTO "evse" VALUES(1,'DEABCE1','DE*ABC*E1','present','Available',1.25,1,2.25,3.25,'{"code":"603","text":"no data","process_id":"process-0","since":1.0,"retry_at":2.0,"attempts":3,"status":"Occupied"}',4.25,'DEABCE1','Occupied','reported','CHARGING','ocpi CHARGING',5.25,'[{"connector":"1/1","value":"CHARGING","charging":true}]',6.25,7.25,8.25,'withdrawal');
CREATE TABLE job (
    operator_id  INTEGER NOT NULL REFERENCES operator (id),
    job          TEXT NOT NULL,
    started_at   REAL,
    succeeded_at REAL,
    failed_at    REAL,
    error        TEXT NOT NULL,
    failures     INTEGER NOT NULL,
    next_run_at  REAL,
    summary      TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (operator_id, job)
) WITHOUT ROWID;
INSERT INTO "job" VALUES(1,'delta',5.5,NULL,NULL,'no',1,NULL,'{"read":7}');
CREATE TABLE ledger_version (
    version    INTEGER PRIMARY KEY,
    applied_at REAL NOT NULL,
    program    TEXT NOT NULL
);
INSERT INTO "ledger_version" VALUES(1,0.5,'0.1.0');
CREATE TABLE operator (
    id       INTEGER PRIMARY KEY,
    base_url TEXT NOT NULL,
    operator TEXT NOT NULL,
    state    TEXT NOT NULL DEFAULT '{}',        -- JSON: OperatorState
    UNIQUE (base_url, operator)
);
INSERT INTO "operator" VALUES(1,'https://hub.example/api/oicp','DEABC','{"baseline":"adopted","baseline_at":1.5,"full_wanted":"","last_full_at":null,"full_doubts":0,"last_read_at":null,"last_complete_at":null,"source_failing_since":null,"largest":{"2026-11-20":7},"notices":{},"mass_since":null,"trouble":null}');
CREATE TABLE push (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    operator_id INTEGER NOT NULL REFERENCES operator (id),
    cycle_id    TEXT NOT NULL,
    action      TEXT NOT NULL,
    count       INTEGER NOT NULL,               -- records in the request
    started_at  REAL NOT NULL,
    finished_at REAL,                           -- NULL: open, its outcome was never recorded
    outcome     TEXT NOT NULL DEFAULT '',
    code        TEXT NOT NULL DEFAULT '',
    text        TEXT NOT NULL DEFAULT '',
    process_id  TEXT,
    http_status INTEGER,
    duration    REAL NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 1
);
INSERT INTO "push" VALUES(1,1,'cycle','update',1,1.0,1.25,'applied','000','Success','process-1',200,0.25,1);
INSERT INTO "push" VALUES(2,1,'cycle','update',1,2.0,NULL,'','','',NULL,NULL,0.0,1);
CREATE TABLE push_record (
    push_id  INTEGER NOT NULL REFERENCES push (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    key      TEXT NOT NULL,
    status   TEXT,                              -- NULL: a deletion
    reason   TEXT NOT NULL,
    PRIMARY KEY (push_id, position)
) WITHOUT ROWID;
INSERT INTO "push_record" VALUES(1,0,'DEABCE1','Occupied','first');
INSERT INTO "push_record" VALUES(2,0,'DEABCE1','Occupied','changed');
CREATE TABLE rejected (
    operator_id INTEGER NOT NULL REFERENCES operator (id),
    position    INTEGER NOT NULL,
    evse_id     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    origin      TEXT NOT NULL,
    since       REAL NOT NULL,
    PRIMARY KEY (operator_id, position)
) WITHOUT ROWID;
INSERT INTO "rejected" VALUES(1,0,'XX','not an EvseID','line 3',3.5);
CREATE INDEX push_by_time ON push (operator_id, started_at);
CREATE INDEX push_open ON push (operator_id) WHERE finished_at IS NULL;
CREATE INDEX push_record_by_key ON push_record (key, push_id);
CREATE INDEX command_by_state ON command (operator_id, state);
CREATE VIEW evse_view AS
SELECT operator.operator, wire_id, presence, status, datetime(status_at, 'unixepoch') AS status_at, push_id,
       datetime(in_doubt_since, 'unixepoch') AS in_doubt_since, quarantine, withheld,
       desired, value, rule, datetime(source_time, 'unixepoch') AS source_time,
       datetime(changed_at, 'unixepoch') AS waiting_since,
       datetime(first_missing, 'unixepoch') AS missing_since, base_url
FROM evse JOIN operator ON operator.id = evse.operator_id;
CREATE VIEW push_view AS
SELECT push.id, operator.operator, datetime(started_at, 'unixepoch') AS started_at, action, count,
       CASE WHEN finished_at IS NULL THEN 'open' ELSE outcome END AS outcome, code, text, process_id,
       http_status, round(duration, 3) AS seconds, attempts, cycle_id, base_url
FROM push JOIN operator ON operator.id = push.operator_id;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('push',2);
INSERT INTO "sqlite_sequence" VALUES('command',1);
COMMIT;
