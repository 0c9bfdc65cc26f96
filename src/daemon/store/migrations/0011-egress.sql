-- What jobs may send: JSON of Egress, or NULL where everything is open.

ALTER TABLE networks ADD COLUMN egress TEXT;
ALTER TABLE network_attachments ADD COLUMN egress TEXT;
