-- Networks that jobs are attached to, and the addresses that jobs have of them.

CREATE TABLE networks (
  name              TEXT PRIMARY KEY,
  number            INTEGER NOT NULL UNIQUE,   -- from 1; the names of its interfaces come from it
  cidr              TEXT NOT NULL,
  peers             INTEGER NOT NULL,          -- 1: its jobs reach each other
  builtin           INTEGER NOT NULL,          -- 1: the daemon's own
  bytes_per_second  INTEGER NOT NULL,          -- of each job, in each direction; 0 is no limit
  created_at_ms     INTEGER NOT NULL
) STRICT;

CREATE TABLE network_attachments (
  job_id     TEXT PRIMARY KEY,
  network    TEXT NOT NULL,
  address    INTEGER NOT NULL,                 -- as a number
  interface  TEXT NOT NULL                     -- the host's end
) STRICT;
