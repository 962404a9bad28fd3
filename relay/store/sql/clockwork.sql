-- What the dispatcher and the scheduler ask for, and upkeep.

-- name: heads
-- One seek into pages_waiting per lane that has anything in it.
SELECT via, waits, (
    SELECT due_at FROM pages INDEXED BY pages_waiting
    WHERE lane IS NOT NULL AND in_flight = 0 AND pages.via = queue.via AND lane = waits
    ORDER BY due_at LIMIT 1
)
FROM (SELECT DISTINCT via, waits FROM tally WHERE waits >= 0 AND n > 0) AS queue
ORDER BY via, waits;

-- name: next_judgement
SELECT min(at) FROM (
    SELECT min(judge_at) AS at FROM pages WHERE judge_at IS NOT NULL
    UNION ALL SELECT min(judge_at) FROM alerts WHERE judge_at IS NOT NULL
    UNION ALL SELECT 0 FROM stirred
);

-- name: due_for_judgement
SELECT id FROM pages WHERE judge_at IS NOT NULL AND judge_at <= ? ORDER BY judge_at LIMIT ?;

-- name: due_alerts
SELECT {alerts}
FROM alerts INDEXED BY alerts_to_judge WHERE judge_at IS NOT NULL AND judge_at <= ? ORDER BY judge_at LIMIT ?;

-- name: next_stirred
SELECT key, after FROM stirred LIMIT 1;

-- name: watchers
SELECT alert FROM links WHERE key = ? AND role = 2 AND alert > ? ORDER BY alert LIMIT ?;

-- name: make_due
UPDATE alerts SET judge_at = min(ifnull(judge_at, :now), :now) WHERE id IN (SELECT value FROM json_each(:ids)) AND firing = 1;

-- name: stirred_up_to
UPDATE stirred SET after = ? WHERE key = ?;

-- name: settled_down
DELETE FROM stirred WHERE key = ?;

-- name: firing_of_ours
-- What the relay itself says is heard in no body: it is found among the few whose time nobody waits for.
SELECT {alerts}
FROM alerts INDEXED BY alerts_of_ours WHERE firing = 1 AND judge_at IS NULL;

-- name: held_alerts
SELECT {alerts}
FROM alerts INDEXED BY alerts_by_id WHERE id > ? ORDER BY id LIMIT ?;

-- name: firing_alerts
SELECT {alerts}
FROM alerts INDEXED BY alerts_by_id WHERE id > ? AND firing = 1 ORDER BY id LIMIT ?;

-- name: stale_alerts
-- Those in a page that PagerDuty may hold open, or that is to be opened.
SELECT {alerts}
FROM alerts INDEXED BY alerts_stale
WHERE stale_source = :source AND alerts.id > :after AND EXISTS (
    SELECT 1 FROM members CROSS JOIN pages ON pages.id = members.page
    WHERE members.alert = alerts.id AND members.firing = 1 AND (pages.wanted = 'open' OR pages.told <> '')
)
ORDER BY alerts.id LIMIT :limit;

-- name: any_firing
SELECT 1 FROM json_each(?) AS wanted CROSS JOIN alerts ON alerts.id = wanted.value WHERE firing = 1 LIMIT 1;

-- name: put_back_in_flight
-- What a crash left in hand: nobody knows whether PagerDuty got it, so it is due again.
UPDATE pages SET in_flight = 0, lane = ifnull(lane, (
    SELECT lane FROM attempts WHERE page = pages.id AND outcome = '' ORDER BY id DESC LIMIT 1
))
WHERE in_flight = 1;

-- name: lose_open_attempts
UPDATE attempts SET outcome = 'lost'
WHERE outcome = '' AND page IN (SELECT id FROM pages INDEXED BY pages_in_flight WHERE in_flight = 1);

-- name: clock_back
UPDATE pages SET due_at = :now WHERE id IN (
    SELECT pages.id
    FROM (SELECT DISTINCT via, waits FROM tally WHERE waits >= 0 AND n > 0) AS queue
    CROSS JOIN pages INDEXED BY pages_waiting
    WHERE pages.lane IS NOT NULL AND pages.in_flight = 0
        AND pages.via = queue.via AND pages.lane = queue.waits
        AND pages.due_at > :now AND pages.due_at - pages.delay > :now
);

-- name: stalled
-- Pages that differ from what PagerDuty was told and wait for nothing: their key or receiver was gone.
SELECT {pages}
FROM (
    SELECT DISTINCT wanted, delivered, told FROM tally WHERE n > 0 AND (
        (wanted = 'open' AND delivered <> 'open') OR (wanted = 'closed' AND delivered NOT IN ('closed', 'never', 'closed elsewhere'))
    )
) AS kind CROSS JOIN pages USING (wanted, delivered, told)
WHERE lane IS NULL AND in_flight = 0 AND is_dead = 0 AND id > :after
ORDER BY id LIMIT :limit;

-- name: dead_pages
SELECT {pages} FROM pages INDEXED BY pages_dead WHERE is_dead = 1 AND id > :after ORDER BY id LIMIT :limit;

-- name: told_kinds
SELECT DISTINCT told FROM tally WHERE n > 0 AND told <> '';

-- name: pages_told
SELECT {pages}
FROM (
    SELECT DISTINCT wanted, delivered, told FROM tally WHERE n > 0 AND told IN (SELECT value FROM json_each(:told))
) AS kind CROSS JOIN pages USING (wanted, delivered, told) LIMIT :limit;

-- name: open_lines
SELECT told, sum(n) FROM tally WHERE told <> '' GROUP BY told HAVING sum(n) > 0;

-- name: pages_over
-- The longest closed first, through the index of pages that look finished by themselves.
SELECT id FROM pages AS over INDEXED BY pages_over
WHERE wanted = 'closed' AND delivered IN ('closed', 'never', 'closed elsewhere') AND lane IS NULL AND in_flight = 0
    AND closed_at < :before AND EXISTS (SELECT 1 FROM pages_finished WHERE pages_finished.id = over.id)
ORDER BY closed_at LIMIT :limit;

-- name: alerts_over
SELECT id FROM alerts INDEXED BY alerts_resolved
WHERE firing = 0 AND changed_at < :before AND NOT EXISTS (SELECT 1 FROM members WHERE alert = alerts.id)
ORDER BY changed_at LIMIT :limit;

-- name: pages_over_still
SELECT id FROM pages_finished WHERE closed_at < :before AND id IN (SELECT value FROM json_each(:ids));

-- name: alerts_over_still
SELECT id FROM alerts
WHERE id IN (SELECT value FROM json_each(:ids)) AND firing = 0 AND changed_at < :before
    AND NOT EXISTS (SELECT 1 FROM members WHERE alert = alerts.id);

-- name: delete_pages
DELETE FROM pages WHERE id IN (SELECT value FROM json_each(?));

-- name: delete_page_members
DELETE FROM members WHERE page IN (SELECT value FROM json_each(?));

-- name: delete_page_attempts
DELETE FROM attempts WHERE page IN (SELECT value FROM json_each(?));

-- name: delete_alerts
DELETE FROM alerts WHERE id IN (SELECT value FROM json_each(?));

-- name: delete_records
DELETE FROM journal WHERE id IN (SELECT id FROM journal ORDER BY id LIMIT :limit) AND at < :before;

-- name: delete_attempts
DELETE FROM attempts
WHERE id IN (SELECT id FROM attempts ORDER BY id LIMIT :limit) AND at < :before AND outcome <> '';

-- name: delete_tally
DELETE FROM tally WHERE n = 0;

-- name: attempts_since
-- A change event counts like a page in the last of the lanes (relay.page.Lane.REFRESH).
SELECT integration, at, lane FROM (
    SELECT integration, at, lane, id FROM attempts WHERE at >= :at
    UNION ALL SELECT integration, called_at, 5, id FROM changes WHERE called_at > 0 AND called_at >= :at
) ORDER BY at, id;

-- name: integrations
SELECT id, key_id, receiver, position FROM integrations ORDER BY id;

-- name: write_integration
INSERT INTO integrations (id, key_id, receiver, position) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET key_id = excluded.key_id, receiver = excluded.receiver, position = excluded.position;
