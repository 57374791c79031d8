-- How tasks are delivered.
-- Older software would send an at-most-once execution again, so it must not come back after this.
-- compatible-from: 2

-- tasks.delivery: 1 at least once, 2 at most once. MySQL knows no ADD COLUMN IF NOT EXISTS, so a second run looks first.
-- INSTANT: no row is touched, however large the table is.
SET @add_delivery = (SELECT IF(COUNT(*) = 0,
  'ALTER TABLE tasks ADD COLUMN delivery TINYINT UNSIGNED NOT NULL DEFAULT 1, ALGORITHM=INSTANT', 'DO 0')
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'tasks' AND column_name = 'delivery');
PREPARE add_delivery FROM @add_delivery;
EXECUTE add_delivery;
DEALLOCATE PREPARE add_delivery;
