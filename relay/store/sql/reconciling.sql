-- What is asked to compare the pages with PagerDuty and with Alertmanagers.

-- name: told_pages
-- Those that PagerDuty may hold open, each kind by a seek into pages_by_state.
SELECT id
FROM (SELECT DISTINCT wanted, delivered, told FROM tally WHERE n > 0 AND told <> '') AS kind
CROSS JOIN pages USING (wanted, delivered, told);

-- name: pages_by_ids
SELECT {pages} FROM pages WHERE id IN (SELECT value FROM json_each(?));

-- name: pages_by_keys
SELECT {pages} FROM pages WHERE dedup_hash IN (SELECT value FROM json_each(?));

-- name: firing_among
SELECT alerts.id FROM json_each(?) AS wanted CROSS JOIN alerts ON alerts.id = wanted.value WHERE firing = 1;

-- name: receivers
-- By which receivers of its Alertmanager a source was heard, as far back as the newest entries of the journal go.
SELECT DISTINCT receiver FROM (SELECT source, receiver FROM journal ORDER BY id DESC LIMIT 5000)
WHERE source = ? AND receiver <> '';

-- name: hooks
SELECT key_id, integration, service, proven_at FROM hooks;

-- name: write_hook
INSERT INTO hooks (key_id, integration, service, proven_at) VALUES (?, ?, ?, ?)
ON CONFLICT (key_id) DO UPDATE SET
    integration = excluded.integration, service = excluded.service, proven_at = excluded.proven_at;
