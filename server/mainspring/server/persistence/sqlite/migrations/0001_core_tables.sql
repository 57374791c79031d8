-- Tasks, the ledger of executions, the ownership of partitions, and the number of partitions.

-- One row, id 1: what was fixed when the file was created.
CREATE TABLE cluster_settings (
  id              INTEGER PRIMARY KEY CHECK (id = 1),
  partition_count INTEGER NOT NULL,
  created_at      INTEGER NOT NULL
) STRICT;

-- The fence: every transaction of an owner compares its partition's row.
CREATE TABLE partitions (
  partition_id INTEGER PRIMARY KEY,
  epoch        INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  owner_id     TEXT    CHECK (length(owner_id) <= 64)
) STRICT;

-- scheduled_at and due_at are NULL when no time is left. The first 4 bytes of a key are its namespace's, so the rows of
-- a namespace lie together within a partition. WITHOUT ROWID: the key is the row's place, not a second tree; the payload
-- comes last, so that what does not fit the page is read only when it is asked for.
CREATE TABLE tasks (
  partition_id      INTEGER NOT NULL,
  task_key          BLOB    NOT NULL CHECK (length(task_key) = 16),
  state             INTEGER NOT NULL,
  version           INTEGER NOT NULL,
  scheduled_at      INTEGER,
  due_at            INTEGER,
  last_scheduled_at INTEGER,
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL,
  definition_hash   BLOB    NOT NULL CHECK (length(definition_hash) = 16),
  namespace         TEXT    NOT NULL CHECK (length(namespace) <= 200),
  task_id           TEXT    NOT NULL CHECK (length(task_id) <= 200),
  handler           TEXT    NOT NULL CHECK (length(handler) <= 200),
  schedule          TEXT    NOT NULL CHECK (length(schedule) <= 2000),
  payload           BLOB    NOT NULL,
  PRIMARY KEY (partition_id, task_key)
) STRICT, WITHOUT ROWID;

-- Partial, as `wake` below: what has no time left costs the index nothing.
CREATE INDEX due ON tasks (partition_id, due_at, task_key) WHERE due_at IS NOT NULL;

-- The ledger, in the order of time; the history of one task follows previous_scheduled_at from tasks.last_scheduled_at.
-- wake_at is NULL exactly when the state is final.
CREATE TABLE executions (
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
  reason                TEXT    NOT NULL DEFAULT '',
  result                BLOB,
  PRIMARY KEY (partition_id, scheduled_at, task_key),
  CHECK ((state < 4) = (wake_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX wake ON executions (partition_id, wake_at, task_key, scheduled_at) WHERE wake_at IS NOT NULL;
