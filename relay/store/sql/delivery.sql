-- What claim() and settle() read and write.

-- name: due_pages
-- The most urgent rows of one lane: a range at the head of pages_waiting, however long the queue behind it.
SELECT {pages}
FROM pages INDEXED BY pages_waiting
WHERE lane IS NOT NULL AND in_flight = 0 AND via = ? AND lane = ? AND due_at <= ?
ORDER BY due_at, id LIMIT ?;

-- name: hasten
-- What is worst and waits for nothing but its back-off after a failure is due now: a range of pages_waiting.
UPDATE pages SET due_at = :now WHERE id IN (
    SELECT id FROM pages INDEXED BY pages_waiting
    WHERE lane IS NOT NULL AND in_flight = 0 AND via = :via AND lane = :lane AND due_at > :now
        AND json_extract(CAST(rest AS TEXT), '$.failures') > 0
    ORDER BY due_at, id LIMIT :limit
);

-- name: last_attempt
SELECT ifnull(max(id), 0) FROM attempts;

-- name: write_attempts
INSERT INTO attempts ({columns}) VALUES {rows}
ON CONFLICT (id) DO UPDATE SET
    outcome = excluded.outcome, event = excluded.event, rest = excluded.rest;

-- name: count_members
SELECT ifnull(sum(firing), 0), count(*) FROM members WHERE page = ?;

-- name: shown_members
SELECT {members}, {alerts}
FROM members JOIN alerts ON alerts.id = members.alert
WHERE page = :page
ORDER BY members.firing DESC, members.severity, route_order, starts_at, alert LIMIT :limit;

-- name: judge_where_leaving_for
-- The new page has its 202: pages whose members leave for it can let them go.
UPDATE pages SET judge_at = min(ifnull(judge_at, :at), :at)
WHERE id IN (SELECT page FROM members WHERE leaving = :page);
