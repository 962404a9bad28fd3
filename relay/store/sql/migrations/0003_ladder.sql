-- The delivery ladder: the integration that carries a page's next call (its own, or its fallback's) is what queues,
-- budgets and circuits go by; and dead letters are found without looking at every page.

ALTER TABLE pages ADD COLUMN via TEXT NOT NULL DEFAULT '';
UPDATE pages SET via = integration;

DROP INDEX pages_waiting;
CREATE INDEX pages_waiting ON pages (via, lane, due_at, id) WHERE lane IS NOT NULL AND in_flight = 0;
CREATE INDEX pages_dead ON pages (id) WHERE is_dead = 1;

DROP TRIGGER pages_counted;
DROP TRIGGER pages_uncounted;
DROP TRIGGER pages_recounted;
DROP TABLE tally;

CREATE TABLE tally (
    integration TEXT NOT NULL,
    via TEXT NOT NULL,
    wanted TEXT NOT NULL,
    delivered TEXT NOT NULL,
    told TEXT NOT NULL,
    severity INTEGER NOT NULL,
    waits INTEGER NOT NULL,             -- the lane it waits in; -1: in none; -2: in flight
    dead INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (integration, via, wanted, delivered, told, severity, waits, dead)
) WITHOUT ROWID;

INSERT INTO tally
SELECT integration, via, wanted, delivered, told, severity, CASE WHEN in_flight THEN -2 ELSE ifnull(lane, -1) END, is_dead, count(*)
FROM pages GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

CREATE TRIGGER pages_counted AFTER INSERT ON pages BEGIN
    INSERT INTO tally VALUES (
        NEW.integration, NEW.via, NEW.wanted, NEW.delivered, NEW.told, NEW.severity,
        CASE WHEN NEW.in_flight THEN -2 ELSE ifnull(NEW.lane, -1) END, NEW.is_dead, 1
    ) ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER pages_uncounted AFTER DELETE ON pages BEGIN
    UPDATE tally SET n = n - 1
    WHERE integration = OLD.integration AND via = OLD.via AND wanted = OLD.wanted AND delivered = OLD.delivered
        AND told = OLD.told AND severity = OLD.severity
        AND waits = CASE WHEN OLD.in_flight THEN -2 ELSE ifnull(OLD.lane, -1) END AND dead = OLD.is_dead;
END;

CREATE TRIGGER pages_recounted
AFTER UPDATE OF integration, via, wanted, delivered, told, severity, lane, in_flight, is_dead ON pages
WHEN (OLD.integration, OLD.via, OLD.wanted, OLD.delivered, OLD.told, OLD.severity, OLD.lane, OLD.in_flight, OLD.is_dead)
    IS NOT (NEW.integration, NEW.via, NEW.wanted, NEW.delivered, NEW.told, NEW.severity, NEW.lane, NEW.in_flight, NEW.is_dead)
BEGIN
    UPDATE tally SET n = n - 1
    WHERE integration = OLD.integration AND via = OLD.via AND wanted = OLD.wanted AND delivered = OLD.delivered
        AND told = OLD.told AND severity = OLD.severity
        AND waits = CASE WHEN OLD.in_flight THEN -2 ELSE ifnull(OLD.lane, -1) END AND dead = OLD.is_dead;
    INSERT INTO tally VALUES (
        NEW.integration, NEW.via, NEW.wanted, NEW.delivered, NEW.told, NEW.severity,
        CASE WHEN NEW.in_flight THEN -2 ELSE ifnull(NEW.lane, -1) END, NEW.is_dead, 1
    ) ON CONFLICT DO UPDATE SET n = n + 1;
END;
