-- The truth of this node about its jobs. Secrets stand in a column of their own so that every
-- other reader can leave them out; the file is readable by the daemon's user only.

CREATE TABLE jobs (
  id              TEXT PRIMARY KEY,
  name            TEXT NOT NULL,
  status          TEXT NOT NULL,
  spec            TEXT NOT NULL,             -- JSON of StoredSpec, without secrets
  secrets         TEXT NOT NULL,             -- JSON object, name to value
  waits_for       TEXT NOT NULL DEFAULT '',
  created_at_ms   INTEGER NOT NULL,
  start_at_ms     INTEGER NOT NULL DEFAULT 0,
  started_at_ms   INTEGER NOT NULL DEFAULT 0,
  ended_at_ms     INTEGER NOT NULL DEFAULT 0,
  outcome         TEXT,                      -- JSON of Outcome, once ended
  usage           TEXT,                      -- JSON of Usage, once ended
  log_bytes       INTEGER NOT NULL DEFAULT 0,
  log_dropped     INTEGER NOT NULL DEFAULT 0,
  id_range        INTEGER,                   -- first host id of its user namespace, while it holds one
  boot_id         TEXT NOT NULL DEFAULT ''   -- the boot in which it was started
) STRICT;

-- Rows stand in the order of their acceptance, so lists need no index, and what is looked for once at
-- a start (jobs that have not ended) is worth none: each index is a page written per job.
CREATE INDEX jobs_name ON jobs (name) WHERE name <> '';

-- Every state change, in order, for ever growing numbers: what watchers follow.
CREATE TABLE events (
  sequence  INTEGER PRIMARY KEY,            -- the last one is never deleted, so none comes twice
  at_ms     INTEGER NOT NULL,
  job_id    TEXT NOT NULL,
  what      TEXT NOT NULL,                   -- the new status, or DELETED
  who       TEXT NOT NULL                    -- the client's name, or empty for the daemon itself
) STRICT;
