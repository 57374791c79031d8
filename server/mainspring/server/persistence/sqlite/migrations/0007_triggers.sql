-- Which calls have triggered tasks, so that one that is repeated triggers once.

-- request_key is made from the request id of the call. The rows of a task are deleted a day later, with its next trigger.
CREATE TABLE trigger_requests (
  partition_id INTEGER NOT NULL,
  task_key     BLOB    NOT NULL CHECK (length(task_key) = 16),
  request_key  BLOB    NOT NULL CHECK (length(request_key) = 16),
  scheduled_at INTEGER NOT NULL,
  PRIMARY KEY (partition_id, task_key, request_key)
) STRICT, WITHOUT ROWID;
