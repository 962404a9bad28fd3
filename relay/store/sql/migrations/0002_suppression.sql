-- Suppression over time: when an alert must be judged again, who inhibits whom, and silences.

ALTER TABLE alerts ADD COLUMN judge_at INTEGER;
CREATE INDEX alerts_to_judge ON alerts (judge_at) WHERE judge_at IS NOT NULL;

-- The source of an alert that fires and was not heard of for too long; of others nothing.
ALTER TABLE alerts ADD COLUMN stale_source TEXT;
CREATE INDEX alerts_stale ON alerts (stale_source, id) WHERE stale_source IS NOT NULL;
-- What the relay itself says is never due; all else that fires is, once it was judged by a version that knows of this.
CREATE INDEX alerts_of_ours ON alerts (id) WHERE firing = 1 AND judge_at IS NULL;

-- An alert at a key: an inhibit rule with the values of its equal labels, or a silence.
CREATE TABLE links (
    key INTEGER NOT NULL,
    role INTEGER NOT NULL,              -- 0 it inhibits there, 1 the same and is a target itself, 2 it watches the key
    alert INTEGER NOT NULL,
    name TEXT NOT NULL,
    absent_at INTEGER NOT NULL,
    PRIMARY KEY (key, role, alert)
) WITHOUT ROWID;
CREATE INDEX links_by_absence ON links (key, role, absent_at);

-- Keys whose watchers must be judged again; those up to `after` are marked already.
CREATE TABLE stirred (key INTEGER PRIMARY KEY, after INTEGER NOT NULL);

CREATE TABLE silences (id TEXT PRIMARY KEY, ends_at INTEGER NOT NULL, rest BLOB NOT NULL) WITHOUT ROWID;
