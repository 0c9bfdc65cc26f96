-- Volumes. Their data lies in volumes.base_path; a row that is not whole is of one that was being made
-- or removed when the daemon was killed, and is cleared away by the next.

CREATE TABLE volumes (
  name TEXT PRIMARY KEY,
  type TEXT NOT NULL,                  -- filesystem or memory
  bytes INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  whole INTEGER NOT NULL
) STRICT;
