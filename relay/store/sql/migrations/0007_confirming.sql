-- Whether PagerDuty has an incident for a trigger that it took.

-- `unconfirmed`: since when that is awaited; 0: its trigger is on its way; below 0: it was awaited for too long; nothing:
-- it is known, or there is nothing to know.
-- `quieted`: 1 while a person has it at PagerDuty, and its route silences its alerts in Alertmanager.
ALTER TABLE pages ADD COLUMN unconfirmed INTEGER;
ALTER TABLE pages ADD COLUMN quieted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX pages_unconfirmed ON pages (via, unconfirmed) WHERE unconfirmed IS NOT NULL;
CREATE INDEX pages_quieted ON pages (id) WHERE quieted = 1;

-- By integration, when a page of it was first confirmed, and last: only then is it known that this works there.
CREATE TABLE confirmations (integration TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID;

CREATE TRIGGER pages_confirmed AFTER UPDATE OF unconfirmed ON pages
WHEN OLD.unconfirmed IS NOT NULL AND NEW.unconfirmed IS NULL
    AND json_extract(CAST(NEW.rest AS TEXT), '$.confirmed_at') > 0
BEGIN
    INSERT INTO confirmations
    SELECT NEW.via, json_extract(CAST(NEW.rest AS TEXT), '$.confirmed_at'), json_extract(CAST(NEW.rest AS TEXT), '$.confirmed_at')
    WHERE true
    ON CONFLICT DO UPDATE SET last = max(last, excluded.last);
END;
