-- Which calls have triggered tasks, so that one that is repeated triggers once.
-- compatible-from: 4

-- request_key is made from the request id of the call. The rows of a task are deleted a day later, with its next trigger.
CREATE TABLE IF NOT EXISTS trigger_requests (
  partition_id SMALLINT UNSIGNED NOT NULL,
  task_key     BINARY(16)        NOT NULL,
  request_key  BINARY(16)        NOT NULL,
  scheduled_at BIGINT            NOT NULL,
  PRIMARY KEY (partition_id, task_key, request_key)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
