-- The ledger: alerts, pages, who is in which page, calls to PagerDuty, and the journal of decisions.
--
-- Ids of alerts and pages are hashes. Rows lie in the order they came in, so that those of one message share blocks, and
-- are found by a small index; were the ids the tables' own keys, each row touched would be a block of its own to write.
-- For the same reason a row holds all of its alert or page, and there are few other indexes, most of them partial.
-- Instants and durations are microseconds. `rest` is JSON: every field that has no column, without the defaults.

CREATE TABLE alerts (
    id INTEGER NOT NULL,
    firing INTEGER NOT NULL,
    starts_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    raw BLOB NOT NULL,                  -- the alert as JSON, as it came
    rest BLOB NOT NULL
);
CREATE UNIQUE INDEX alerts_by_id ON alerts (id);
CREATE INDEX alerts_resolved ON alerts (changed_at) WHERE firing = 0;

-- An alert's id is a hash of (source, fingerprint): with the few sources at hand it is found by fingerprint alone.
CREATE TABLE sources (name TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE pages (
    id INTEGER NOT NULL,
    integration TEXT NOT NULL,
    dedup_hash INTEGER NOT NULL,
    wanted TEXT NOT NULL,
    delivered TEXT NOT NULL,            -- summed up from the lines in `rest`
    told TEXT NOT NULL,                 -- key ids of its lines that are open or unknown; `!` marks a key that is gone
    severity INTEGER NOT NULL,          -- 0 critical .. 3 info
    lane INTEGER,
    due_at INTEGER NOT NULL,
    delay INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    is_dead INTEGER NOT NULL,
    successor INTEGER,
    predecessor INTEGER,
    judge_at INTEGER,
    rest BLOB NOT NULL
);
CREATE UNIQUE INDEX pages_by_id ON pages (id);
CREATE INDEX pages_by_dedup_key ON pages (dedup_hash);
CREATE INDEX pages_waiting ON pages (integration, lane, due_at, id) WHERE lane IS NOT NULL AND in_flight = 0;
CREATE INDEX pages_oldest ON pages (lane, changed_at) WHERE lane IS NOT NULL AND in_flight = 0;
CREATE INDEX pages_in_flight ON pages (id) WHERE in_flight = 1;
CREATE INDEX pages_to_judge ON pages (judge_at) WHERE judge_at IS NOT NULL;
CREATE INDEX pages_over ON pages (closed_at)
    WHERE wanted = 'closed' AND delivered IN ('closed', 'never') AND lane IS NULL AND in_flight = 0;
CREATE INDEX pages_by_state ON pages (wanted, delivered, told);

-- Pages with nothing left to do, in a chain of linked pages that all have nothing left to do.
CREATE VIEW pages_finished AS
SELECT * FROM pages
WHERE wanted = 'closed' AND delivered IN ('closed', 'never') AND lane IS NULL AND in_flight = 0
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
            linked.wanted = 'closed' AND linked.delivered IN ('closed', 'never') AND linked.lane IS NULL
            AND linked.in_flight = 0 AND linked.judge_at IS NULL AND linked.is_dead = 0 AND linked.told = ''
        )
    );

CREATE TABLE members (
    page INTEGER NOT NULL,
    alert INTEGER NOT NULL,
    firing INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    route_order INTEGER NOT NULL,
    leaving INTEGER,
    rest BLOB NOT NULL
);
CREATE UNIQUE INDEX members_by_page ON members (page, alert);
CREATE INDEX members_by_alert ON members (alert);
CREATE INDEX members_leaving ON members (leaving) WHERE leaving IS NOT NULL;

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    page INTEGER NOT NULL,
    integration TEXT NOT NULL,
    lane INTEGER NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,              -- empty while in flight
    event BLOB NOT NULL,
    rest BLOB NOT NULL
);
CREATE INDEX attempts_by_page ON attempts (page);
CREATE INDEX attempts_by_time ON attempts (at);

CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    group_key TEXT NOT NULL,
    group_hash INTEGER NOT NULL,
    receiver TEXT NOT NULL,
    outcomes TEXT NOT NULL,
    decisions TEXT NOT NULL
);
CREATE INDEX journal_by_group ON journal (group_hash);

CREATE TABLE integrations (
    id TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    receiver TEXT NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;

-- How many pages there are of each kind, kept by the triggers below, so that nobody ever counts the pages themselves.
CREATE TABLE tally (
    integration TEXT NOT NULL,
    wanted TEXT NOT NULL,
    delivered TEXT NOT NULL,
    told TEXT NOT NULL,
    severity INTEGER NOT NULL,
    waits INTEGER NOT NULL,             -- the lane it waits in; -1: in none; -2: in flight
    dead INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (integration, wanted, delivered, told, severity, waits, dead)
) WITHOUT ROWID;

CREATE TRIGGER pages_counted AFTER INSERT ON pages BEGIN
    INSERT INTO tally VALUES (
        NEW.integration, NEW.wanted, NEW.delivered, NEW.told, NEW.severity,
        CASE WHEN NEW.in_flight THEN -2 ELSE ifnull(NEW.lane, -1) END, NEW.is_dead, 1
    ) ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER pages_uncounted AFTER DELETE ON pages BEGIN
    UPDATE tally SET n = n - 1
    WHERE integration = OLD.integration AND wanted = OLD.wanted AND delivered = OLD.delivered AND told = OLD.told
        AND severity = OLD.severity AND waits = CASE WHEN OLD.in_flight THEN -2 ELSE ifnull(OLD.lane, -1) END AND dead = OLD.is_dead;
END;

CREATE TRIGGER pages_recounted
AFTER UPDATE OF integration, wanted, delivered, told, severity, lane, in_flight, is_dead ON pages
WHEN (OLD.integration, OLD.wanted, OLD.delivered, OLD.told, OLD.severity, OLD.lane, OLD.in_flight, OLD.is_dead)
    IS NOT (NEW.integration, NEW.wanted, NEW.delivered, NEW.told, NEW.severity, NEW.lane, NEW.in_flight, NEW.is_dead)
BEGIN
    UPDATE tally SET n = n - 1
    WHERE integration = OLD.integration AND wanted = OLD.wanted AND delivered = OLD.delivered AND told = OLD.told
        AND severity = OLD.severity AND waits = CASE WHEN OLD.in_flight THEN -2 ELSE ifnull(OLD.lane, -1) END AND dead = OLD.is_dead;
    INSERT INTO tally VALUES (
        NEW.integration, NEW.wanted, NEW.delivered, NEW.told, NEW.severity,
        CASE WHEN NEW.in_flight THEN -2 ELSE ifnull(NEW.lane, -1) END, NEW.is_dead, 1
    ) ON CONFLICT DO UPDATE SET n = n + 1;
END;
