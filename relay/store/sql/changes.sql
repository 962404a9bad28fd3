-- Change events that wait to be sent, and those that were sent a moment ago.

-- name: add
INSERT INTO changes (integration, at, due_at, called_at, rest) VALUES (?, ?, ?, 0, ?);

-- name: heads
SELECT integration, min(due_at), min(at), max(due_at), count(*) FROM changes INDEXED BY changes_waiting
WHERE due_at IS NOT NULL GROUP BY integration;

-- name: next
SELECT id, at, rest FROM changes INDEXED BY changes_waiting
WHERE integration = :integration AND due_at <= :now ORDER BY due_at, id LIMIT 1;

-- name: call
UPDATE changes SET called_at = :now, due_at = :again WHERE id = :id;

-- name: over
UPDATE changes SET due_at = NULL, rest = x'' WHERE id = ?;

-- name: again
UPDATE changes SET due_at = :due_at, rest = :rest WHERE id = :id AND due_at IS NOT NULL;

-- name: give_up
UPDATE changes SET due_at = NULL, rest = x'' WHERE due_at IS NOT NULL AND at < ? RETURNING integration;

-- name: shed
DELETE FROM changes WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER newest AS place, sum(length(rest)) OVER newest AS bytes
        FROM changes WHERE due_at IS NOT NULL WINDOW newest AS (ORDER BY id DESC)
    ) WHERE place > :most OR bytes > :bytes
) RETURNING integration;

-- name: clock_back
UPDATE changes SET due_at = :now WHERE due_at > :latest;

-- name: forget
DELETE FROM changes WHERE due_at IS NULL AND called_at < ?;
