-- Since when PagerDuty is awaited to confirm that it has an incident for a trigger it took; of others nothing.
ALTER TABLE pages ADD COLUMN unconfirmed INTEGER;
CREATE INDEX pages_unconfirmed ON pages (unconfirmed) WHERE unconfirmed IS NOT NULL;
