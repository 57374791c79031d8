-- Tasks, the ledger of executions, the ownership of partitions, and the number of partitions.
-- compatible-from: 1

-- One row, id 1: what was fixed when the cluster was created.
CREATE TABLE IF NOT EXISTS cluster_settings (
  id              TINYINT UNSIGNED  NOT NULL,
  partition_count SMALLINT UNSIGNED NOT NULL,
  created_at      BIGINT            NOT NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The fence: every write of an owner reads its partition's row with a lock.
CREATE TABLE IF NOT EXISTS partitions (
  partition_id SMALLINT UNSIGNED NOT NULL,
  epoch        BIGINT UNSIGNED   NOT NULL DEFAULT 0,
  owner_id     VARCHAR(64)       NULL,
  PRIMARY KEY (partition_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- scheduled_at and due_at are NULL when no time is left. The first 4 bytes of a key are its namespace's, so the rows of
-- a namespace lie together within a partition.
CREATE TABLE IF NOT EXISTS tasks (
  partition_id      SMALLINT UNSIGNED NOT NULL,
  task_key          BINARY(16)        NOT NULL,
  state             TINYINT UNSIGNED  NOT NULL,
  version           BIGINT UNSIGNED   NOT NULL,
  scheduled_at      BIGINT            NULL,
  due_at            BIGINT            NULL,
  last_scheduled_at BIGINT            NULL,
  created_at        BIGINT            NOT NULL,
  updated_at        BIGINT            NOT NULL,
  definition_hash   BINARY(16)        NOT NULL,
  namespace         VARCHAR(200)      NOT NULL,
  task_id           VARCHAR(200)      NOT NULL,
  handler           VARCHAR(200)      NOT NULL,
  schedule          VARCHAR(2000)     NOT NULL,
  payload           MEDIUMBLOB        NOT NULL,
  PRIMARY KEY (partition_id, task_key),
  KEY due (partition_id, due_at, task_key)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The ledger. Time comes before the task in its key, so that a batch of claims writes to one place of a partition and
-- the ledger may outgrow memory; the history of one task follows previous_scheduled_at from tasks.last_scheduled_at.
-- wake_at is NULL exactly when the state is final.
CREATE TABLE IF NOT EXISTS executions (
  partition_id          SMALLINT UNSIGNED NOT NULL,
  scheduled_at          BIGINT            NOT NULL,
  task_key              BINARY(16)        NOT NULL,
  previous_scheduled_at BIGINT            NULL,
  state                 TINYINT UNSIGNED  NOT NULL,
  due_at                BIGINT            NOT NULL,
  wake_at               BIGINT            NULL,
  attempt               INT UNSIGNED      NOT NULL,
  epoch                 BIGINT UNSIGNED   NOT NULL,
  task_version          BIGINT UNSIGNED   NOT NULL,
  executor_id           VARCHAR(200)      NULL,
  node_id               VARCHAR(64)       NULL,
  claimed_at            BIGINT            NOT NULL,
  dispatched_at         BIGINT            NULL,
  picked_up_at          BIGINT            NULL,
  finished_at           BIGINT            NULL,
  saved_at              BIGINT            NULL,
  gap_last_scheduled_at BIGINT            NULL,
  gap_count             BIGINT UNSIGNED   NULL,
  reason                VARCHAR(2000)     NOT NULL DEFAULT '',
  result                MEDIUMBLOB        NULL,
  PRIMARY KEY (partition_id, scheduled_at, task_key),
  -- All four columns named: MariaDB sorts a page when the last one is only implied by the primary key.
  KEY wake (partition_id, wake_at, task_key, scheduled_at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
