-- What is awaited of PagerDuty, and what a person has there.

-- name: unconfirmed
SELECT {pages}
FROM pages INDEXED BY pages_unconfirmed
WHERE unconfirmed IS NOT NULL AND via = :via AND unconfirmed > :since AND unconfirmed <= :until
ORDER BY unconfirmed LIMIT :limit;

-- name: doubted
SELECT via, count(*) FROM pages INDEXED BY pages_unconfirmed
WHERE unconfirmed IS NOT NULL AND unconfirmed < 0 AND told <> '' GROUP BY via;

-- name: proofs
SELECT integration, first, last FROM confirmations;

-- name: quieted
SELECT {pages} FROM pages INDEXED BY pages_quieted WHERE quieted = 1 ORDER BY id LIMIT ?;
