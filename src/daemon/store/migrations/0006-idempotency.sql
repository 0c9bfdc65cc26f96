-- A key that a caller gave a job, so that asking again does not make another one. It goes with the job.

ALTER TABLE jobs ADD COLUMN key_owner TEXT;          -- the caller's name
ALTER TABLE jobs ADD COLUMN idempotency_key TEXT;
ALTER TABLE jobs ADD COLUMN request_digests TEXT;    -- JSON object, name of a field to digest of its value
CREATE UNIQUE INDEX jobs_key ON jobs (key_owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
