-- Where each routing key leads at PagerDuty, by the relay's id of the key: still known once the key is gone.
CREATE TABLE hooks (
    key_id TEXT PRIMARY KEY,
    integration TEXT NOT NULL,          -- PagerDuty's id of it
    service TEXT NOT NULL,
    proven_at INTEGER NOT NULL          -- when an alert of ours was last seen open there; 0: never
) WITHOUT ROWID;
