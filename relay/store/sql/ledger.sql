-- What keep() reads and writes.
--
-- `{alerts}`, `{pages}` ... stand for that table's columns as codec.py lists them; `{columns}` and `{rows}` for those
-- of a statement that writes many rows at once; `{ids}` for the ids asked for.

-- name: alerts_by_id
SELECT {alerts} FROM alerts WHERE id IN ({ids});

-- name: members_by_alert
SELECT {members} FROM members WHERE alert IN ({ids}) ORDER BY alert, page;

-- name: members_by_page
SELECT {members} FROM members WHERE page IN ({ids}) ORDER BY page, alert;

-- name: pages_by_id
SELECT {pages} FROM pages WHERE id IN ({ids});

-- name: move_members
UPDATE OR REPLACE members SET page = :to WHERE page = :from;

-- name: move_waiting
-- Who waits for the old page to open waits for the new one.
UPDATE members SET leaving = :to WHERE leaving = :from;

-- name: clear_members
DELETE FROM members WHERE page IN (SELECT value FROM json_each(?)) AND firing = 0;

-- name: delete_member
DELETE FROM members WHERE page = ? AND alert = ?;

-- name: write_alerts
INSERT INTO alerts ({columns}) VALUES {rows}
ON CONFLICT (id) DO UPDATE SET
    firing = excluded.firing, starts_at = excluded.starts_at, changed_at = excluded.changed_at,
    heard_at = excluded.heard_at, judge_at = excluded.judge_at, raw = excluded.raw, rest = excluded.rest,
    stale_source = excluded.stale_source;

-- name: inhibitors
-- Of those who inhibit at each key, in either role (0 and 1), one that is there and the one that is absent latest, whoever
-- is judged left out: at a key of a rule without equal labels there may be thousands.
SELECT links.key, links.alert, links.role, links.name, links.absent_at
FROM json_each(:keys) AS wanted
CROSS JOIN (SELECT 0 AS role UNION ALL SELECT 1) AS roles
CROSS JOIN links
WHERE links.key = wanted.value AND links.role = roles.role AND links.alert = (
    SELECT alert FROM links AS some
    WHERE some.key = wanted.value AND some.role = roles.role AND some.absent_at = 0
        AND some.alert NOT IN (SELECT value FROM json_each(:alerts))
    LIMIT 1
)
UNION ALL
SELECT links.key, links.alert, links.role, links.name, links.absent_at
FROM json_each(:keys) AS wanted
CROSS JOIN (SELECT 0 AS role UNION ALL SELECT 1) AS roles
CROSS JOIN links
WHERE links.key = wanted.value AND links.role = roles.role AND links.alert = (
    SELECT alert FROM links AS some
    WHERE some.key = wanted.value AND some.role = roles.role AND some.absent_at > 0
        AND some.alert NOT IN (SELECT value FROM json_each(:alerts))
    ORDER BY some.absent_at DESC LIMIT 1
);

-- name: write_link
INSERT INTO links (key, role, alert, name, absent_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key, role, alert) DO UPDATE SET name = excluded.name, absent_at = excluded.absent_at;

-- name: delete_link
DELETE FROM links WHERE key = ? AND role = ? AND alert = ?;

-- name: stir
-- From the first watcher on, also where somebody was half way through them.
INSERT INTO stirred (key, after) VALUES (?, -1) ON CONFLICT (key) DO UPDATE SET after = -1;

-- name: write_source
INSERT INTO sources (name) VALUES (?) ON CONFLICT DO NOTHING;

-- name: write_pages
INSERT INTO pages ({columns}) VALUES {rows}
ON CONFLICT (id) DO UPDATE SET
    integration = excluded.integration, wanted = excluded.wanted, severity = excluded.severity,
    lane = excluded.lane, due_at = excluded.due_at, delay = excluded.delay, in_flight = excluded.in_flight,
    changed_at = excluded.changed_at, closed_at = excluded.closed_at, heard_at = excluded.heard_at,
    successor = excluded.successor, predecessor = excluded.predecessor, judge_at = excluded.judge_at,
    rest = excluded.rest, dedup_hash = excluded.dedup_hash, delivered = excluded.delivered, told = excluded.told,
    is_dead = excluded.is_dead, via = excluded.via, unconfirmed = excluded.unconfirmed, quieted = excluded.quieted;

-- name: rewrite_pages
-- For rows that are there and keep every value an index or the tally looks at: those blocks are not written again.
INSERT INTO pages ({columns}) VALUES {rows}
ON CONFLICT (id) DO UPDATE SET
    delay = excluded.delay, heard_at = excluded.heard_at, successor = excluded.successor,
    predecessor = excluded.predecessor, rest = excluded.rest;

-- name: write_members
INSERT INTO members ({columns}) VALUES {rows}
ON CONFLICT (page, alert) DO UPDATE SET
    firing = excluded.firing, severity = excluded.severity, route_order = excluded.route_order,
    leaving = excluded.leaving, rest = excluded.rest;

-- name: mark_for_judgement
UPDATE pages SET judge_at = min(ifnull(judge_at, :at), :at) WHERE id IN (SELECT value FROM json_each(:ids));

-- name: write_record
INSERT INTO journal (at, source, group_key, group_hash, receiver, outcomes, decisions) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: hear_alerts
UPDATE alerts SET heard_at = max(heard_at, heard.value)
FROM (SELECT key, value FROM json_each(?)) AS heard WHERE alerts.id = CAST(heard.key AS INTEGER);

-- name: pages_to_refresh
SELECT {pages}
FROM pages WHERE id IN (SELECT value FROM json_each(?))
    AND wanted = 'open' AND delivered IN ('open', 'closed elsewhere') AND lane IS NULL AND in_flight = 0 AND is_dead = 0;

-- name: hear_pages
UPDATE pages SET heard_at = max(heard_at, heard.value)
FROM (SELECT key, value FROM json_each(?)) AS heard WHERE pages.id = CAST(heard.key AS INTEGER);
