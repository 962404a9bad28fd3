-- What people and metrics ask for; run on a connection that cannot write.

-- name: pages_by_dedup_key
SELECT {pages}
FROM pages WHERE dedup_hash = :hash AND id > :after ORDER BY id LIMIT :limit;

-- name: count_pages
SELECT ifnull(sum(n), 0) FROM tally
WHERE (:wanted IS NULL OR wanted = :wanted) AND (:delivered IS NULL OR delivered = :delivered)
    AND (:waiting IS NULL OR (waits >= 0) = :waiting);

-- name: pages_waiting
SELECT {pages}
FROM pages INDEXED BY pages_waiting
WHERE lane IS NOT NULL AND in_flight = 0 AND id > :after
    AND (:wanted IS NULL OR wanted = :wanted) AND (:delivered IS NULL OR delivered = :delivered)
ORDER BY id LIMIT :limit;

-- name: pages_of_kind
SELECT {pages}
FROM (
    SELECT DISTINCT wanted, delivered, told FROM tally
    WHERE n > 0 AND (:wanted IS NULL OR wanted = :wanted) AND (:delivered IS NULL OR delivered = :delivered)
) AS kind CROSS JOIN pages USING (wanted, delivered, told)
WHERE pages.id > :after AND (:waiting IS NULL OR (lane IS NOT NULL AND in_flight = 0) = :waiting)
ORDER BY pages.id LIMIT :limit;

-- name: pages_by_id
SELECT {pages}
FROM pages INDEXED BY pages_by_id
WHERE id > :after AND (:wanted IS NULL OR wanted = :wanted) AND (:delivered IS NULL OR delivered = :delivered)
    AND (:waiting IS NULL OR (lane IS NOT NULL AND in_flight = 0) = :waiting)
ORDER BY id LIMIT :limit;

-- name: by_need
-- What relay/answers/words.py calls them, so far as a person must tell them apart, and how urgent that is.
SELECT id, severity, storm, word, opened_at, closed_at,
    CASE word
        WHEN 'dead letter' THEN 0 WHEN 'waiting' THEN 1 WHEN 'key gone' THEN 1 WHEN 'closed elsewhere' THEN 1
        WHEN 'open' THEN 1 WHEN 'closing' THEN 1 WHEN 'muted' THEN 2 WHEN 'discarded' THEN 3 WHEN 'folded' THEN 4
        ELSE 5
    END AS rank
FROM (
    SELECT id, severity, closed_at, ifnull(json_extract(said, '$.storm'), 0) AS storm,
        ifnull(json_extract(said, '$.opened_at'), 0) AS opened_at,
        CASE
            WHEN wanted = 'open' AND is_dead = 1 THEN 'dead letter'
            WHEN wanted = 'open' AND json_extract(said, '$.discarded') IS NOT NULL THEN 'discarded'
            WHEN instr(told, '!') THEN 'key gone'
            WHEN json_extract(said, '$.handed_over') THEN CASE WHEN told = '' THEN 'closed' ELSE 'closing' END
            WHEN json_extract(said, '$.left_open') THEN 'closed'
            WHEN wanted = 'quiet' THEN 'muted'
            WHEN wanted = 'open' THEN CASE WHEN delivered IN ('open', 'closed elsewhere') THEN delivered ELSE 'waiting' END
            WHEN told <> '' THEN 'closing'
            WHEN json_extract(said, '$.folded') IS NOT NULL THEN 'folded'
            ELSE 'closed'
        END AS word
    FROM (SELECT *, CAST(rest AS TEXT) AS said FROM pages)
    WHERE (:dead IS NULL OR is_dead = 1)
        AND (:due_by IS NULL OR (
            lane IS NOT NULL AND in_flight = 0
            AND (due_at <= :due_by OR ifnull(json_extract(said, '$.failures'), 0) > 0)
        ))
        AND (:wanted IS NULL OR wanted = :wanted) AND (:delivered IS NULL OR delivered = :delivered)
        AND (:receiver IS NULL OR json_extract(said, '$.receiver') = :receiver)
);

-- name: count_by_need
SELECT word, count(*) FROM ({by_need}) GROUP BY word ORDER BY min(rank), word = 'closing', word = 'open', word;

-- name: pages_by_need
-- Of one severity storm pages first, then what waits, then what began last; of closed ones what closed last.
SELECT {pages} FROM (
    SELECT id, row_number() OVER (
        ORDER BY rank, CASE WHEN rank < 5 THEN severity END, CASE WHEN rank < 5 THEN 1 - storm END,
            CASE WHEN rank < 5 THEN word <> 'waiting' END, CASE WHEN rank < 5 THEN -opened_at ELSE -closed_at END, id
    ) AS place FROM ({by_need})
) AS chosen CROSS JOIN pages ON pages.id = chosen.id
WHERE place <= :limit ORDER BY place;

-- name: count_due
SELECT via, count(*) FROM pages INDEXED BY pages_waiting
WHERE lane IS NOT NULL AND in_flight = 0 AND due_at <= ? GROUP BY via;

-- name: pages_holding
SELECT {pages}
FROM pages WHERE id IN (SELECT page FROM members WHERE alert IN (SELECT value FROM json_each(:alerts)))
ORDER BY id LIMIT :limit;

-- name: attempts_of_page
SELECT {attempts}
FROM attempts WHERE page = ? ORDER BY id DESC LIMIT ?;

-- name: sources
SELECT name FROM sources;

-- name: records
SELECT id, at, source, group_key, receiver, outcomes, decisions FROM journal
WHERE id < :before AND (:source IS NULL OR source = :source) AND (:group_key IS NULL OR group_key = :group_key)
ORDER BY id DESC LIMIT :limit;

-- name: records_of_groups
SELECT id, at, source, group_key, receiver, outcomes, decisions FROM journal INDEXED BY journal_by_group
WHERE group_hash IN (SELECT value FROM json_each(:hashes)) AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: some_members
SELECT {alerts} FROM alerts WHERE id IN (SELECT alert FROM members WHERE page = ? ORDER BY alert LIMIT 100);

-- name: some_folded
-- Those that a storm page took out of this one.
SELECT {alerts} FROM alerts WHERE id IN (
    SELECT alert FROM members WHERE page = :into AND json_extract(CAST(rest AS TEXT), '$.home') = :home
    ORDER BY alert LIMIT 100
);

-- name: tally
SELECT integration, via, wanted, delivered, severity, waits, dead, sum(n) FROM tally
GROUP BY integration, via, wanted, delivered, severity, waits, dead HAVING sum(n) > 0;

-- name: count_stale_alerts
SELECT stale_source, count(*) FROM alerts INDEXED BY alerts_stale WHERE stale_source IS NOT NULL GROUP BY stale_source;

-- name: count_stale_pages
-- All that fires in them is stale. Looked for among the pages of so many stale alerts.
SELECT count(*) FROM (
    SELECT DISTINCT page FROM (
        SELECT id FROM alerts INDEXED BY alerts_stale WHERE stale_source IS NOT NULL LIMIT ?
    ) AS stale CROSS JOIN members ON members.alert = stale.id AND members.firing = 1
) AS some
WHERE NOT EXISTS (
    SELECT 1 FROM members CROSS JOIN alerts ON alerts.id = members.alert
    WHERE members.page = some.page AND members.firing = 1 AND alerts.stale_source IS NULL
);

-- name: oldest
SELECT lane.value, (
    SELECT changed_at FROM pages INDEXED BY pages_oldest
    WHERE lane IS NOT NULL AND in_flight = 0 AND lane = lane.value ORDER BY changed_at LIMIT 1
) FROM json_each(?) AS lane;

-- name: size
SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size();
