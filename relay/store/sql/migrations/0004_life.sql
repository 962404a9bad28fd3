-- The relay's own life: what it has told PagerDuty of itself, and who paused what.

-- `rest` is JSON (relay/store/views.py): one row for each reason and routing key that a self-page may be open under.
CREATE TABLE bells (reason TEXT NOT NULL, key_id TEXT NOT NULL, rest BLOB NOT NULL, PRIMARY KEY (reason, key_id)) WITHOUT ROWID;

-- When something was last written to see whether it can be.
CREATE TABLE beats (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL);

-- Those that are over stay, as the record of who did it.
CREATE TABLE pauses (
    id INTEGER PRIMARY KEY,
    receiver TEXT NOT NULL,             -- empty: everything
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    by TEXT NOT NULL,
    ended_at INTEGER NOT NULL,          -- 0: nobody ended it
    ended_by TEXT NOT NULL
);
