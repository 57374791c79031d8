-- Namespaces: what tasks get that are created in one and leave it open, and how often it has changed.
-- Older software ignores it and creates tasks without it, so give a namespace such defaults once every node is updated.
-- compatible-from: 4

-- policies: text of core.policies, '' for none. delivery: 1 at least once, 2 at most once. Namespaces are few.
SET @add_task_defaults = (SELECT IF(COUNT(*) = 0,
  'ALTER TABLE namespaces ADD COLUMN version BIGINT UNSIGNED NOT NULL DEFAULT 1,
    ADD COLUMN delivery TINYINT UNSIGNED NOT NULL DEFAULT 1,
    ADD COLUMN policies VARCHAR(2000) NOT NULL DEFAULT '''', ALGORITHM=INSTANT', 'DO 0')
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'namespaces' AND column_name = 'policies');
PREPARE add_task_defaults FROM @add_task_defaults;
EXECUTE add_task_defaults;
DEALLOCATE PREPARE add_task_defaults;
