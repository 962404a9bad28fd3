-- What comes back from PagerDuty.

-- name: take_news
INSERT INTO news (id, at, incident, waiting, rest) VALUES (?, ?, ?, 0, x'') ON CONFLICT DO NOTHING;

-- name: keep_waiting
UPDATE news SET waiting = 1, rest = ? WHERE id = ?;

-- name: waits_no_more
UPDATE news SET waiting = 0, rest = x'' WHERE id = ? AND waiting = 1;

-- name: waiting_news
SELECT rest FROM news INDEXED BY news_waiting WHERE waiting = 1 ORDER BY at LIMIT ?;

-- name: forget_news
DELETE FROM news WHERE id IN (SELECT id FROM news INDEXED BY news_by_time WHERE at < ? ORDER BY at LIMIT ?);

-- name: pages_of_incident
SELECT {pages} FROM incidents CROSS JOIN pages ON pages.id = incidents.page WHERE incidents.id = ? ORDER BY pages.id;

-- name: pages_of_incident_number
-- For people: it reads every page.
SELECT {pages} FROM pages WHERE json_extract(CAST(rest AS TEXT), '$.incident_number') = ? ORDER BY id LIMIT 20;

-- name: pages_of_key
SELECT {pages} FROM pages INDEXED BY pages_by_dedup_key WHERE dedup_hash = ? ORDER BY id LIMIT 100;

-- name: write_incident
INSERT INTO incidents (id, page, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: write_act
INSERT INTO acts (page, at, rest) VALUES (?, ?, ?);

-- name: drop_old_acts
DELETE FROM acts WHERE page = :page AND id NOT IN (
    SELECT id FROM acts INDEXED BY acts_by_page WHERE page = :page ORDER BY at DESC, id DESC LIMIT :limit
);

-- name: acts_of_page
SELECT rest FROM acts INDEXED BY acts_by_page WHERE page = ? ORDER BY at, id;

-- name: delete_page_acts
DELETE FROM acts WHERE page IN (SELECT value FROM json_each(?));

-- name: delete_page_incidents
DELETE FROM incidents WHERE page IN (SELECT value FROM json_each(?));
