-- Workflows and their steps. A step changes in the transaction of its job's change, so what was decided
-- is never lost and never decided twice. Secrets stand in columns of their own, as those of jobs.

CREATE TABLE workflows (
  id             TEXT PRIMARY KEY,
  name           TEXT NOT NULL,
  text           TEXT NOT NULL,              -- as it was sent, secrets included
  shown_text     TEXT NOT NULL,              -- the same without their values
  owner          TEXT NOT NULL,              -- JSON of Identity
  max_parallel   INTEGER NOT NULL,
  status         TEXT NOT NULL,
  ending         TEXT NOT NULL DEFAULT '',   -- stop or cancel, once somebody asked for it
  ended_by       TEXT NOT NULL DEFAULT '',
  created_at_ms  INTEGER NOT NULL,
  started_at_ms  INTEGER NOT NULL DEFAULT 0,
  ended_at_ms    INTEGER NOT NULL DEFAULT 0,
  total          INTEGER NOT NULL,
  completed      INTEGER NOT NULL DEFAULT 0,
  failed         INTEGER NOT NULL DEFAULT 0,
  canceled       INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE workflow_steps (
  workflow_id    TEXT NOT NULL,
  number         INTEGER NOT NULL,           -- its place in the file, from 0
  plan           TEXT NOT NULL,              -- JSON of StepPlan, without secrets
  secrets        TEXT NOT NULL,              -- JSON object, name to value
  status         TEXT NOT NULL,
  is_ready       INTEGER NOT NULL,           -- 1 once it is decided that it starts
  not_before_ms  INTEGER NOT NULL,
  job_id         TEXT NOT NULL,              -- written in the transaction of the job's row
  attempts       INTEGER NOT NULL,
  has_run        INTEGER NOT NULL,
  started_at_ms  INTEGER NOT NULL,
  ended_at_ms    INTEGER NOT NULL,
  exit_code      INTEGER NOT NULL,
  message        TEXT NOT NULL,
  PRIMARY KEY (workflow_id, number)
) STRICT, WITHOUT ROWID;
