-- What is asked of storm pages; run on a connection that cannot write. A member's home is in its `rest`.

-- name: leaving
SELECT alert FROM members INDEXED BY members_leaving
WHERE leaving IS NOT NULL AND page = :page AND alert > :after ORDER BY alert LIMIT :limit;

-- name: homes
SELECT
    json_extract(CAST(members.rest AS TEXT), '$.home') AS home, count(*),
    min(CASE WHEN json_extract(CAST(members.rest AS TEXT), '$.suppressions') IS NULL THEN members.severity END) AS worst
FROM members JOIN alerts ON alerts.id = members.alert
WHERE members.page = :page AND members.firing = 1 AND members.leaving IS NULL
GROUP BY home HAVING worst IS NOT NULL ORDER BY worst, min(alerts.starts_at), home LIMIT :limit;

-- name: homes_count
SELECT count(DISTINCT json_extract(CAST(rest AS TEXT), '$.home')) FROM members
WHERE page = :page AND firing = 1 AND leaving IS NULL;

-- name: alerts_of
SELECT alert FROM members
WHERE page = :page AND firing = 1 AND leaving IS NULL
    AND json_extract(CAST(rest AS TEXT), '$.home') IN (SELECT value FROM json_each(:homes));

-- name: stood
SELECT members.alert, members.severity, members.route_order, members.rest, alerts.starts_at, alerts.raw
FROM members INDEXED BY members_by_page CROSS JOIN alerts ON alerts.id = members.alert
WHERE members.page = :page AND members.alert > :after AND members.firing = 1
ORDER BY members.alert LIMIT :limit;
