-- Jobs that a step had had when its workflow was taken up again by hand: its retry policy counts from there.

ALTER TABLE workflow_steps ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;
