-- What of ended jobs the archive holds. A row comes before the first byte goes there, and stays until
-- the last one is deleted there, so that nothing is left that nobody knows of.

CREATE TABLE archived (
  job_id        TEXT PRIMARY KEY,
  stored_at_ms  INTEGER NOT NULL,   -- 0: not all of it is there yet
  files         TEXT NOT NULL,      -- JSON: name, bytes, sha256 of each
  doomed        INTEGER NOT NULL    -- 1: its job was deleted, and it is to be
) STRICT;

CREATE TRIGGER archived_of_deleted_job AFTER DELETE ON jobs BEGIN
  UPDATE archived SET doomed = 1 WHERE job_id = OLD.id;
END;
