-- The time that a job whose stop was asked for has to end by itself.

ALTER TABLE jobs ADD COLUMN stop_grace_ms INTEGER NOT NULL DEFAULT 0;
