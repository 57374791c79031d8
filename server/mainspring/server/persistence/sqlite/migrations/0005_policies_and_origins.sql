-- What a task says about trouble, its labels and notes; why there is an execution, what failed of it, how far it is.
--
-- Both tables are made anew, because new columns could only stand behind the payload and the result, and each load of the
-- window and each listing would read past all of a large one.

-- policies: text of core.policies, '' for defaults. labels: a canonical JSON object, '' for none. note and changed_by: of the
-- latest change of the state by a call.
CREATE TABLE new_tasks (
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
  policies          TEXT    NOT NULL DEFAULT '' CHECK (length(policies) <= 2000),
  labels            TEXT    NOT NULL DEFAULT '' CHECK (length(labels) <= 4300),
  note              TEXT    NOT NULL DEFAULT '' CHECK (length(note) <= 500),
  changed_by        TEXT    NOT NULL DEFAULT '' CHECK (length(changed_by) <= 200),
  payload           BLOB    NOT NULL,
  PRIMARY KEY (partition_id, task_key)
) STRICT, WITHOUT ROWID;

INSERT INTO new_tasks (partition_id, task_key, state, version, scheduled_at, due_at, last_scheduled_at, execution_count,
  created_at, updated_at, delivery, definition_hash, namespace, task_id, handler, schedule, payload)
SELECT partition_id, task_key, state, version, scheduled_at, due_at, last_scheduled_at, execution_count, created_at, updated_at,
  delivery, definition_hash, namespace, task_id, handler, schedule, payload
FROM tasks;

DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;

CREATE INDEX due ON tasks (partition_id, due_at, task_key) WHERE due_at IS NOT NULL;

-- origin: 1 its schedule, 2 made up for, 3 triggered, 4 backfilled. payload: its own; NULL is the task's. failure_count: how many
-- attempts failed; error_kind: of the latest. Existing rows show what failed in reason alone.
CREATE TABLE new_executions (
  partition_id          INTEGER NOT NULL,
  scheduled_at          INTEGER NOT NULL,
  task_key              BLOB    NOT NULL CHECK (length(task_key) = 16),
  previous_scheduled_at INTEGER,
  state                 INTEGER NOT NULL,
  due_at                INTEGER NOT NULL,
  wake_at               INTEGER,
  attempt               INTEGER NOT NULL,
  epoch                 INTEGER NOT NULL,
  task_version          INTEGER NOT NULL,
  executor_id           TEXT    CHECK (length(executor_id) <= 200),
  node_id               TEXT    CHECK (length(node_id) <= 64),
  claimed_at            INTEGER NOT NULL,
  dispatched_at         INTEGER,
  picked_up_at          INTEGER,
  finished_at           INTEGER,
  saved_at              INTEGER,
  gap_last_scheduled_at INTEGER,
  gap_count             INTEGER,
  origin                INTEGER NOT NULL DEFAULT 1,
  failure_count         INTEGER NOT NULL DEFAULT 0,
  error_kind            TEXT    NOT NULL DEFAULT '' CHECK (length(error_kind) <= 200),
  progress_at           INTEGER,
  progress              BLOB    CHECK (length(progress) <= 1024),
  reason                TEXT    NOT NULL DEFAULT '',
  result                BLOB,
  payload               BLOB,
  PRIMARY KEY (partition_id, scheduled_at, task_key),
  CHECK ((state < 4) = (wake_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO new_executions (partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at, wake_at, attempt, epoch,
  task_version, executor_id, node_id, claimed_at, dispatched_at, picked_up_at, finished_at, saved_at, gap_last_scheduled_at,
  gap_count, reason, result)
SELECT partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at, wake_at, attempt, epoch, task_version,
  executor_id, node_id, claimed_at, dispatched_at, picked_up_at, finished_at, saved_at, gap_last_scheduled_at, gap_count, reason,
  result
FROM executions;

DROP TABLE executions;
ALTER TABLE new_executions RENAME TO executions;

CREATE INDEX wake ON executions (partition_id, wake_at, task_key, scheduled_at) WHERE wake_at IS NOT NULL;
