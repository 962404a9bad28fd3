-- What the relay keeps of itself: few rows.

-- name: put_bell
INSERT INTO bells (reason, key_id, rest) VALUES (?, ?, ?)
ON CONFLICT (reason, key_id) DO UPDATE SET rest = excluded.rest;

-- name: drop_bell
DELETE FROM bells WHERE reason = ? AND key_id = ?;

-- name: bells
SELECT rest FROM bells ORDER BY reason, key_id;

-- name: beat
INSERT INTO beats (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at;

-- name: put_pause
INSERT INTO pauses (id, receiver, since, until, by, ended_at, ended_by) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, ended_by = excluded.ended_by;

-- name: drop_old_pauses
DELETE FROM pauses WHERE id NOT IN (SELECT id FROM pauses ORDER BY id DESC LIMIT ?);

-- name: pauses
SELECT id, receiver, since, until, by, ended_at, ended_by FROM pauses ORDER BY id DESC;
