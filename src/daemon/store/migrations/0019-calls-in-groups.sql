-- Calls of other workflows that wait for their turn in a concurrency group, or have it.

ALTER TABLE workflows ADD COLUMN turns TEXT NOT NULL DEFAULT '[]';  -- JSON of Turn[]
