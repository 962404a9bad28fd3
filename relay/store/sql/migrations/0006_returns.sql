-- What comes back from PagerDuty. `rest` is JSON.

-- Webhook events that were taken, by their signed ids, to know them when they come again. `waiting`: its page is not
-- known yet, and the REST API may know it.
CREATE TABLE news (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    incident TEXT NOT NULL,
    waiting INTEGER NOT NULL,
    rest BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX news_by_time ON news (at);
CREATE INDEX news_waiting ON news (at) WHERE waiting = 1;

-- Which page an incident stands for.
CREATE TABLE incidents (id TEXT PRIMARY KEY, page INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX incidents_by_page ON incidents (page);

-- What people and timers did at PagerDuty, page by page.
CREATE TABLE acts (id INTEGER PRIMARY KEY, page INTEGER NOT NULL, at INTEGER NOT NULL, rest BLOB NOT NULL);
CREATE INDEX acts_by_page ON acts (page);
