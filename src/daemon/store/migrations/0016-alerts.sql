-- Alerts, and whom they are told to. An alert and the notices of it are written in one transaction, so
-- none is sent that is not known, and a daemon that comes after a crash sends those that are left.

CREATE TABLE alerts (
  id              TEXT PRIMARY KEY,
  rule            TEXT NOT NULL,
  measure         TEXT NOT NULL,             -- what the rule measures
  subject         TEXT NOT NULL,             -- what it is about: a directory, a job's name; or empty
  job_id          TEXT NOT NULL,             -- or empty
  reading         TEXT NOT NULL,             -- the sentence that it fired with
  fired_at_ms     INTEGER NOT NULL,
  resolved_at_ms  INTEGER NOT NULL DEFAULT 0,
  resolution      TEXT NOT NULL DEFAULT ''   -- the sentence that it ended with
) STRICT;

CREATE TABLE alert_notices (
  alert_id        TEXT NOT NULL,
  turn            TEXT NOT NULL,             -- fired or resolved
  target          TEXT NOT NULL,
  status          TEXT NOT NULL,             -- WAITING, SENT or GIVEN_UP
  tries           INTEGER NOT NULL DEFAULT 0,
  problem         TEXT NOT NULL DEFAULT '',  -- of the last try
  PRIMARY KEY (alert_id, turn, target)
) STRICT, WITHOUT ROWID;

-- Up to which record of the audit log rules about jobs have been followed; no row is none.
CREATE TABLE alert_position (
  sequence        INTEGER NOT NULL
) STRICT;
