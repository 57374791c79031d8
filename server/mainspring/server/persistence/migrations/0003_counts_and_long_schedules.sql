-- How many scheduled times of a task the ledger holds, and room for long schedules.
-- Older software would move tasks without counting, so it must not come back after this.
-- compatible-from: 3

-- tasks.execution_count: ledger rows, those of gap rows with their count. Existing tasks start at 0 and count what is
-- claimed from now on: counting the ledger of each would read all of it. None of them has a maximum, which older software
-- did not know. MySQL knows no ADD COLUMN IF NOT EXISTS; INSTANT: no row is touched, however large the table is.
SET @add_execution_count = (SELECT IF(COUNT(*) = 0,
  'ALTER TABLE tasks ADD COLUMN execution_count BIGINT NOT NULL DEFAULT 0, ALGORITHM=INSTANT', 'DO 0')
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'tasks' AND column_name = 'execution_count');
PREPARE add_execution_count FROM @add_execution_count;
EXECUTE add_execution_count;
DEALLOCATE PREPARE add_execution_count;

-- tasks.schedule: several expressions, a year of excluded dates and excluded expressions take thousands of characters.
-- INPLACE and not INSTANT, for MySQL knows only that here; both change nothing but the table's description.
SET @lengthen_schedule = (SELECT IF(COUNT(*) = 1,
  'ALTER TABLE tasks MODIFY COLUMN schedule VARCHAR(8000) NOT NULL, ALGORITHM=INPLACE, LOCK=NONE', 'DO 0')
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'tasks' AND column_name = 'schedule'
    AND character_maximum_length < 8000);
PREPARE lengthen_schedule FROM @lengthen_schedule;
EXECUTE lengthen_schedule;
DEALLOCATE PREPARE lengthen_schedule;
