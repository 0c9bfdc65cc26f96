-- What a job's sandbox was made of at its start, as far as its spec does not say it: JSON of Sandbox.
-- Jobs of earlier versions, and jobs that were never started, have none.

ALTER TABLE jobs ADD COLUMN sandbox TEXT;
