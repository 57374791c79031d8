-- What a task says about trouble, its labels and notes; why there is an execution, what failed of it, how far it is.
-- Older software would fire and send against a task's policies, and hand out its payload in place of an execution's own, so
-- it must not come back after this.
-- compatible-from: 4

-- tasks.policies: text of core.policies, '' for defaults. tasks.labels: a canonical JSON object, '' for none. tasks.note and
-- tasks.changed_by: of the latest change of the state by a call.
-- MySQL knows no ADD COLUMN IF NOT EXISTS; the columns of one ALTER come together or not at all. INSTANT: no row is touched,
-- however large the table is.
SET @add_policies = (SELECT IF(COUNT(*) = 0,
  'ALTER TABLE tasks ADD COLUMN policies VARCHAR(2000) NOT NULL DEFAULT '''',
    ADD COLUMN labels VARCHAR(4300) NOT NULL DEFAULT '''',
    ADD COLUMN note VARCHAR(500) NOT NULL DEFAULT '''',
    ADD COLUMN changed_by VARCHAR(200) NOT NULL DEFAULT '''', ALGORITHM=INSTANT', 'DO 0')
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'tasks' AND column_name = 'policies');
PREPARE add_policies FROM @add_policies;
EXECUTE add_policies;
DEALLOCATE PREPARE add_policies;

-- executions.origin: 1 its schedule, 2 made up for, 3 triggered, 4 backfilled. executions.payload: its own; NULL is the task's.
-- executions.failure_count: how many attempts failed; error_kind: of the latest. Existing rows show what failed in reason alone.
SET @add_origin = (SELECT IF(COUNT(*) = 0,
  'ALTER TABLE executions ADD COLUMN origin TINYINT UNSIGNED NOT NULL DEFAULT 1,
    ADD COLUMN failure_count INT UNSIGNED NOT NULL DEFAULT 0,
    ADD COLUMN error_kind VARCHAR(200) NOT NULL DEFAULT '''',
    ADD COLUMN payload MEDIUMBLOB NULL,
    ADD COLUMN progress VARBINARY(1024) NULL,
    ADD COLUMN progress_at BIGINT NULL, ALGORITHM=INSTANT', 'DO 0')
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'executions' AND column_name = 'origin');
PREPARE add_origin FROM @add_origin;
EXECUTE add_origin;
DEALLOCATE PREPARE add_origin;
