-- Change events that PagerDuty has not taken yet. `rest` is JSON; a row is gone once it was sent or given up.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    integration TEXT NOT NULL,
    at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    rest BLOB NOT NULL
);
CREATE INDEX changes_waiting ON changes (integration, due_at, id);
