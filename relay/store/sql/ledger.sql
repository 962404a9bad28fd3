-- What keep() reads and writes.
--
-- `{alerts}`, `{pages}` ... stand for that table's columns as codec.py lists them; `{columns}` and `{rows}` for those
-- of a statement that writes many rows at once.

-- name: alerts_by_id
SELECT {alerts}
FROM alerts WHERE id IN (SELECT value FROM json_each(?));

-- name: members_by_alert
SELECT {members}
FROM members WHERE alert IN (SELECT value FROM json_each(?)) ORDER BY alert, page;

-- name: members_by_page
SELECT {members}
FROM members WHERE page IN (SELECT value FROM json_each(?)) ORDER BY page, alert;

-- name: page_chains
-- The pages asked for and, over and over, their successors.
WITH RECURSIVE chain (id) AS (
    SELECT value FROM json_each(?)
    UNION
    SELECT pages.successor FROM chain JOIN pages ON pages.id = chain.id WHERE pages.successor IS NOT NULL
)
SELECT {pages}
FROM chain JOIN pages ON pages.id = chain.id;

-- name: move_members
UPDATE OR REPLACE members SET page = :to WHERE page = :from;

-- name: clear_members
DELETE FROM members WHERE page IN (SELECT value FROM json_each(?)) AND firing = 0;

-- name: delete_member
DELETE FROM members WHERE page = ? AND alert = ?;

-- name: write_alerts
INSERT INTO alerts ({columns}) VALUES {rows}
ON CONFLICT (id) DO UPDATE SET
    source = excluded.source, fingerprint = excluded.fingerprint, firing = excluded.firing,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, digest = excluded.digest, raw = excluded.raw,
    groups = excluded.groups, changed_at = excluded.changed_at, heard_at = excluded.heard_at,
    verdict = excluded.verdict, rest = excluded.rest;

-- name: write_source
INSERT INTO sources (name) VALUES (?) ON CONFLICT DO NOTHING;

-- name: write_pages
INSERT INTO pages ({columns}) VALUES {rows}
ON CONFLICT (id) DO UPDATE SET
    wanted = excluded.wanted, severity = excluded.severity, lane = excluded.lane,
    due_at = excluded.due_at, delay = excluded.delay, in_flight = excluded.in_flight,
    changed_at = excluded.changed_at, closed_at = excluded.closed_at, heard_at = excluded.heard_at,
    dead = excluded.dead, successor = excluded.successor, predecessor = excluded.predecessor,
    judge_at = excluded.judge_at, rest = excluded.rest, delivered = excluded.delivered, told = excluded.told;

-- name: write_members
INSERT INTO members ({columns}) VALUES {rows}
ON CONFLICT (page, alert) DO UPDATE SET
    home = excluded.home, firing = excluded.firing, severity = excluded.severity, route = excluded.route,
    route_order = excluded.route_order, receiver = excluded.receiver, target = excluded.target,
    suppressed = excluded.suppressed, leaving = excluded.leaving, joined_at = excluded.joined_at, rest = excluded.rest;

-- name: mark_for_judgement
UPDATE pages SET judge_at = min(ifnull(judge_at, :at), :at) WHERE id IN (SELECT value FROM json_each(:ids));

-- name: write_record
INSERT INTO journal (at, source, group_key, group_hash, receiver, outcomes, decisions) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: hear_alerts
UPDATE alerts SET heard_at = max(heard_at, heard.value)
FROM (SELECT key, value FROM json_each(?)) AS heard WHERE alerts.id = CAST(heard.key AS INTEGER);

-- name: hear_pages
UPDATE pages SET heard_at = max(heard_at, heard.value)
FROM (SELECT key, value FROM json_each(?)) AS heard WHERE pages.id = CAST(heard.key AS INTEGER);
