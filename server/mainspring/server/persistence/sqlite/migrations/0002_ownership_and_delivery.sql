-- A cluster's identity, and how tasks are delivered.

-- Random, drawn once.
ALTER TABLE cluster_settings ADD COLUMN cluster_id TEXT;

-- 1 at least once, 2 at most once. A new column can only stand behind the payload: reading it reads past a large one, which
-- claims and assignments do anyway; only a take-over pays for it.
ALTER TABLE tasks ADD COLUMN delivery INTEGER NOT NULL DEFAULT 1;
