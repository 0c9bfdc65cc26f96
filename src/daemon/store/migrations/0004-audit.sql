-- The audit log, which is the list of events too: every change of a job is one row here, written in
-- the transaction of the change. Watchers follow it by its ever growing number.
--
-- Nothing has read the events of schema 1, and they cannot be made links of a chain afterwards.

DROP TABLE events;

CREATE TABLE audit (
  sequence     INTEGER PRIMARY KEY,         -- without gaps, and none comes twice
  at_ms        INTEGER NOT NULL,
  action       TEXT NOT NULL,               -- a word of audit/record.ts
  job_id       TEXT NOT NULL,               -- or empty
  method       TEXT NOT NULL,               -- of a refused call, else empty
  who          TEXT NOT NULL,               -- the client's name; this and the next three are empty for the daemon itself
  role         TEXT NOT NULL,
  certificate  TEXT NOT NULL,               -- serial number
  peer         TEXT NOT NULL,               -- address, or address:port
  result       TEXT NOT NULL,
  detail       TEXT NOT NULL,
  count        INTEGER NOT NULL,            -- how many calls it stands for
  hash         TEXT NOT NULL                -- of the hash before it and of all of the above but sequence
) STRICT;
