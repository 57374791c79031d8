-- How many scheduled times of a task the ledger holds, and room for long schedules.

-- execution_count: ledger rows, those of gap rows with their count. Existing tasks start at 0 and count what is claimed from
-- now on: counting the ledger of each would read all of it. None of them has a maximum, which older software did not know.
--
-- schedule: several expressions, a year of excluded dates and excluded expressions take thousands of characters.
--
-- The table is made anew, because a new column could only stand behind the payload, and each load of the window would
-- read past all of a large one.
CREATE TABLE counted_tasks (
  partition_id      INTEGER NOT NULL,
  task_key          BLOB    NOT NULL CHECK (length(task_key) = 16),
  state             INTEGER NOT NULL,
  version           INTEGER NOT NULL,
  scheduled_at      INTEGER,
  due_at            INTEGER,
  last_scheduled_at INTEGER,
  execution_count   INTEGER NOT NULL DEFAULT 0,
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL,
  delivery          INTEGER NOT NULL DEFAULT 1,
  definition_hash   BLOB    NOT NULL CHECK (length(definition_hash) = 16),
  namespace         TEXT    NOT NULL CHECK (length(namespace) <= 200),
  task_id           TEXT    NOT NULL CHECK (length(task_id) <= 200),
  handler           TEXT    NOT NULL CHECK (length(handler) <= 200),
  schedule          TEXT    NOT NULL CHECK (length(schedule) <= 8000),
  payload           BLOB    NOT NULL,
  PRIMARY KEY (partition_id, task_key)
) STRICT, WITHOUT ROWID;

INSERT INTO counted_tasks (partition_id, task_key, state, version, scheduled_at, due_at, last_scheduled_at, created_at,
  updated_at, delivery, definition_hash, namespace, task_id, handler, schedule, payload)
SELECT partition_id, task_key, state, version, scheduled_at, due_at, last_scheduled_at, created_at, updated_at, delivery,
  definition_hash, namespace, task_id, handler, schedule, payload
FROM tasks;

DROP TABLE tasks;
ALTER TABLE counted_tasks RENAME TO tasks;

CREATE INDEX due ON tasks (partition_id, due_at, task_key) WHERE due_at IS NOT NULL;
