-- Since when a job has had its place among those that wait; why it waits is not kept, since it changes
-- with every job that starts.

ALTER TABLE jobs ADD COLUMN queued_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs DROP COLUMN waits_for;
UPDATE jobs SET
  spec = json_set(spec, '$.priority', 0),
  queued_at_ms = CASE status WHEN 'PENDING' THEN max(created_at_ms, start_at_ms) ELSE 0 END;
