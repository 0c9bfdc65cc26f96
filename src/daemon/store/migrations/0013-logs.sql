-- What became of the logs of ended jobs. One that was never sealed has no row: a short log is a small
-- file, and its job's end costs nothing more.

CREATE TABLE logs (
  job_id         TEXT PRIMARY KEY,
  disk_bytes     INTEGER NOT NULL,            -- of its segments, since they are sealed; 0 once they are removed
  removed_at_ms  INTEGER NOT NULL DEFAULT 0,  -- not 0: its output goes, or is gone, and the job stays
  removed_why    TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TRIGGER logs_of_deleted_job AFTER DELETE ON jobs BEGIN
  DELETE FROM logs WHERE job_id = OLD.id;
END;
