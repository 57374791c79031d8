-- Adjusted scheduled times of tasks, and what they owe of schedules that were replaced.
-- Older software would run what was left out and hand out the wrong payload, so it must not come back after this.
-- compatible-from: 7

-- tasks.adjustments_version: how often. tasks.adjustments: text of core.adjustments, NULL for none; adjusted_payloads: the
-- payloads that belong to it. tasks.owed: text of core.owed_times, NULL for nothing. MySQL knows no ADD COLUMN IF NOT EXISTS; the columns of one ALTER come together or not at all.
-- INSTANT: no row is touched, however large the table is.
SET @add_adjustments = (SELECT IF(COUNT(*) = 0,
  'ALTER TABLE tasks ADD COLUMN adjustments_version INT UNSIGNED NOT NULL DEFAULT 0,
    ADD COLUMN adjustments TEXT NULL,
    ADD COLUMN adjusted_payloads MEDIUMBLOB NULL,
    ADD COLUMN owed MEDIUMTEXT NULL, ALGORITHM=INSTANT', 'DO 0')
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'tasks' AND column_name = 'adjustments_version');
PREPARE add_adjustments FROM @add_adjustments;
EXECUTE add_adjustments;
DEALLOCATE PREPARE add_adjustments;
