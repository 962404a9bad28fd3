-- What fires now and what keeps it quiet; run on a connection that cannot write.

-- name: firing_alerts
SELECT {alerts}
FROM alerts INDEXED BY alerts_by_id WHERE id > ? AND firing = 1 ORDER BY id LIMIT ?;

-- name: firing_members
SELECT {members}
FROM members WHERE firing = 1 AND alert IN (SELECT value FROM json_each(?)) ORDER BY page;

-- name: inhibiting
SELECT alert FROM links WHERE key = ? AND role < 2 ORDER BY role, alert LIMIT ?;
