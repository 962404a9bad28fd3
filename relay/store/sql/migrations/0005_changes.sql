-- Change events on their way to PagerDuty. `rest` is JSON: the event without its routing key, and its last failure.
-- `due_at` is NULL once one is over (sent, refused, given up): then it stays for a while, empty, since calls of the last
-- minutes fill a budget's window again after a start. `called_at`: when it was last tried; 0: never.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    integration TEXT NOT NULL,
    at INTEGER NOT NULL,
    due_at INTEGER,
    called_at INTEGER NOT NULL,
    rest BLOB NOT NULL
);
CREATE INDEX changes_waiting ON changes (integration, due_at, id, at) WHERE due_at IS NOT NULL;
CREATE INDEX changes_called ON changes (called_at) WHERE called_at > 0;
