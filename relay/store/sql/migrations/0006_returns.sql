-- What comes back from PagerDuty. `rest` is JSON.

-- Webhook events that were taken, by their signed ids, to know them when they come again. `waiting`: its page is not
-- known yet, and the REST API may know it; only then there is a `rest`.
CREATE TABLE news (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,                -- when it was taken
    incident TEXT NOT NULL,
    waiting INTEGER NOT NULL,
    rest BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX news_by_time ON news (at);
CREATE INDEX news_waiting ON news (at) WHERE waiting = 1;

-- Which pages an incident stands for: after a merge there are several.
CREATE TABLE incidents (
    id TEXT NOT NULL,
    page INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (id, page)
) WITHOUT ROWID;
CREATE INDEX incidents_by_page ON incidents (page);

-- What people and timers did at PagerDuty, page by page.
CREATE TABLE acts (id INTEGER PRIMARY KEY, page INTEGER NOT NULL, at INTEGER NOT NULL, rest BLOB NOT NULL);
CREATE INDEX acts_by_page ON acts (page);

-- A page that nothing fires in is finished also where somebody at PagerDuty closed it.
DROP INDEX pages_over;
CREATE INDEX pages_over ON pages (closed_at)
    WHERE wanted = 'closed' AND delivered IN ('closed', 'never', 'closed elsewhere') AND lane IS NULL AND in_flight = 0;

DROP VIEW pages_finished;
CREATE VIEW pages_finished AS
SELECT * FROM pages
WHERE wanted = 'closed' AND delivered IN ('closed', 'never', 'closed elsewhere') AND lane IS NULL AND in_flight = 0
    AND judge_at IS NULL AND is_dead = 0 AND told = ''
    AND NOT EXISTS (SELECT 1 FROM members WHERE leaving = pages.id)
    AND NOT EXISTS (
        WITH RECURSIVE chain (id) AS (
            SELECT pages.id
            UNION
            SELECT link.value
            FROM chain JOIN pages AS one ON one.id = chain.id, json_each(json_array(one.successor, one.predecessor)) AS link
            WHERE link.value IS NOT NULL
        )
        SELECT 1 FROM chain JOIN pages AS linked ON linked.id = chain.id
        WHERE NOT (
            linked.wanted = 'closed' AND linked.delivered IN ('closed', 'never', 'closed elsewhere')
            AND linked.lane IS NULL AND linked.in_flight = 0 AND linked.judge_at IS NULL AND linked.is_dead = 0
            AND linked.told = ''
        )
    );
