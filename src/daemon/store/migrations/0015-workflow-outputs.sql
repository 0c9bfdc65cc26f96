-- What a job of a workflow has said for those that follow, and what a workflow asks for as a whole.

ALTER TABLE workflow_steps ADD COLUMN outputs TEXT NOT NULL DEFAULT '{}';  -- JSON object, name to value

ALTER TABLE workflows ADD COLUMN options TEXT NOT NULL DEFAULT '{}';       -- JSON of WorkflowOptions
ALTER TABLE workflows ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;         -- 1 while others of its group go on
ALTER TABLE workflows ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
