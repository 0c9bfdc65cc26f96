-- Ports of the host that lead into jobs: JSON of their texts, or NULL where there are none.

ALTER TABLE network_attachments ADD COLUMN published TEXT;
