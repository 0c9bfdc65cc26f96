-- Who stopped a job, and when it times out, which can be moved while it runs.

ALTER TABLE jobs ADD COLUMN stopped_by TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN timeout TEXT;      -- JSON of Timeout, once the start has been requested
UPDATE jobs SET timeout = json_object(
  'ms', json_extract(spec, '$.timeoutMs'),
  'atMs', started_at_ms + json_extract(spec, '$.timeoutMs')
) WHERE started_at_ms > 0 AND json_extract(spec, '$.timeoutMs') > 0;
