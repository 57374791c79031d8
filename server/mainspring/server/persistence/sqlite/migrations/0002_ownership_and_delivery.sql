-- A cluster's identity, how tasks are delivered, who freed a partition, and the record of changes of owner.

-- Random, drawn once.
ALTER TABLE cluster_settings ADD COLUMN cluster_id TEXT;

-- 1 at least once, 2 at most once. A new column can only stand behind the payload: reading it reads past a large one, which
-- claims and assignments do anyway; only a take-over pays for it.
ALTER TABLE tasks ADD COLUMN delivery INTEGER NOT NULL DEFAULT 1;

-- Hand-over: the last owner of a free partition, and since when nobody fires it.
ALTER TABLE partitions ADD COLUMN released_at INTEGER;
ALTER TABLE partitions ADD COLUMN released_by TEXT CHECK (length(released_by) <= 64);

-- Hand-over: one row a change of owner, the newest 100 of each partition. Instants are microseconds UTC.
CREATE TABLE handovers (
  partition_id    INTEGER NOT NULL,
  epoch           INTEGER NOT NULL,
  reason          INTEGER NOT NULL,
  from_node       TEXT    CHECK (length(from_node) <= 64),
  to_node         TEXT    NOT NULL CHECK (length(to_node) <= 64),
  released_at     INTEGER,
  noticed_at      INTEGER,
  firing_at       INTEGER NOT NULL,
  late_count      INTEGER NOT NULL,
  max_lateness_us INTEGER NOT NULL,
  PRIMARY KEY (partition_id, epoch)
) STRICT, WITHOUT ROWID;

CREATE INDEX firing ON handovers (firing_at, partition_id, epoch);
