-- Adjusted scheduled times of tasks, and what they owe of schedules that were replaced.
--
-- adjustments_version: how often. adjustments: text of core.adjustments, NULL for none; adjusted_payloads: the payloads that
-- belong to it. owed: text of core.owed_times, NULL for nothing. The table is made anew, because a new column could only stand
-- behind the payload, and each load of the window would read past all of a large one.
CREATE TABLE new_tasks (
  partition_id        INTEGER NOT NULL,
  task_key            BLOB    NOT NULL CHECK (length(task_key) = 16),
  state               INTEGER NOT NULL,
  version             INTEGER NOT NULL,
  scheduled_at        INTEGER,
  due_at              INTEGER,
  last_scheduled_at   INTEGER,
  execution_count     INTEGER NOT NULL DEFAULT 0,
  adjustments_version INTEGER NOT NULL DEFAULT 0,
  created_at          INTEGER NOT NULL,
  updated_at          INTEGER NOT NULL,
  delivery            INTEGER NOT NULL DEFAULT 1,
  definition_hash     BLOB    NOT NULL CHECK (length(definition_hash) = 16),
  namespace           TEXT    NOT NULL CHECK (length(namespace) <= 200),
  task_id             TEXT    NOT NULL CHECK (length(task_id) <= 200),
  handler             TEXT    NOT NULL CHECK (length(handler) <= 200),
  schedule            TEXT    NOT NULL CHECK (length(schedule) <= 8000),
  policies            TEXT    NOT NULL DEFAULT '' CHECK (length(policies) <= 2000),
  labels              TEXT    NOT NULL DEFAULT '' CHECK (length(labels) <= 4300),
  note                TEXT    NOT NULL DEFAULT '' CHECK (length(note) <= 500),
  changed_by          TEXT    NOT NULL DEFAULT '' CHECK (length(changed_by) <= 200),
  adjustments         TEXT    CHECK (length(adjustments) <= 4000),
  owed                TEXT,
  payload             BLOB    NOT NULL,
  adjusted_payloads   BLOB,
  PRIMARY KEY (partition_id, task_key)
) STRICT, WITHOUT ROWID;

INSERT INTO new_tasks (partition_id, task_key, state, version, scheduled_at, due_at, last_scheduled_at, execution_count,
  created_at, updated_at, delivery, definition_hash, namespace, task_id, handler, schedule, policies, labels, note, changed_by,
  payload)
SELECT partition_id, task_key, state, version, scheduled_at, due_at, last_scheduled_at, execution_count,
  created_at, updated_at, delivery, definition_hash, namespace, task_id, handler, schedule, policies, labels, note, changed_by,
  payload
FROM tasks;

DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;

CREATE INDEX due ON tasks (partition_id, due_at, task_key) WHERE due_at IS NOT NULL;
