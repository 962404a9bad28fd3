-- Silences: few rows, written by hand, and all of them in memory as well.

-- name: write
INSERT INTO silences (id, ends_at, rest) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at, rest = excluded.rest;

-- name: read_all
SELECT id, ends_at, rest FROM silences ORDER BY id;

-- name: forget
DELETE FROM silences WHERE ends_at < ?;
