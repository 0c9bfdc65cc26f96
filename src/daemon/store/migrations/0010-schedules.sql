-- Recurring schedules, and what became of their ticks. A tick is a row before anything of it starts, with
-- the id that its workflow will have, so that it is started once however often the daemon dies.

CREATE TABLE schedules (
  name           TEXT PRIMARY KEY,
  id             TEXT NOT NULL UNIQUE,       -- a UUID; a name may be used again
  cron           TEXT NOT NULL,
  time_zone      TEXT NOT NULL,
  overlap        TEXT NOT NULL,
  catch_up       TEXT NOT NULL,
  jitter_ms      INTEGER NOT NULL,
  owner          TEXT NOT NULL,              -- JSON of Identity
  what           TEXT NOT NULL,              -- a line for people
  plan           TEXT NOT NULL,              -- JSON of WorkflowPlan, secrets included
  paused         INTEGER NOT NULL,
  created_at_ms  INTEGER NOT NULL,
  next_at_ms     INTEGER NOT NULL            -- the first tick that has not been dealt with; 0 is none
) STRICT;

CREATE TABLE schedule_runs (
  schedule_id    TEXT NOT NULL,
  tick_ms        INTEGER NOT NULL,
  workflow_id    TEXT NOT NULL,
  state          TEXT NOT NULL,              -- WAITING, STARTED, SKIPPED or FAILED
  message        TEXT NOT NULL,
  at_ms          INTEGER NOT NULL,           -- when it came to that
  PRIMARY KEY (schedule_id, tick_ms)
) STRICT, WITHOUT ROWID;
