-- Runs of a schedule that are kept; older ones are deleted with their jobs and logs.

ALTER TABLE schedules ADD COLUMN keep INTEGER NOT NULL DEFAULT 100;
