-- A cluster's identity, and how tasks are delivered.
-- Older software would send an at-most-once execution again, so it must not come back after this.
-- compatible-from: 2

-- Cluster: a random id, which `mainspring migrate` draws once; in ZooKeeper it tells clusters apart that were given one path.
-- MySQL knows no ADD COLUMN IF NOT EXISTS, so each column is added only while it is missing.
SET @add_cluster_id = IF(
  (SELECT COUNT(*) FROM information_schema.columns
   WHERE table_schema = DATABASE() AND table_name = 'cluster_settings' AND column_name = 'cluster_id') = 0,
  'ALTER TABLE cluster_settings ADD COLUMN cluster_id CHAR(32) NULL',
  'DO 0');
PREPARE add_cluster_id FROM @add_cluster_id;
EXECUTE add_cluster_id;
DEALLOCATE PREPARE add_cluster_id;

-- tasks.delivery: 1 at least once, 2 at most once. INSTANT: no row is touched, however large the table is.
SET @add_delivery = (SELECT IF(COUNT(*) = 0,
  'ALTER TABLE tasks ADD COLUMN delivery TINYINT UNSIGNED NOT NULL DEFAULT 1, ALGORITHM=INSTANT', 'DO 0')
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'tasks' AND column_name = 'delivery');
PREPARE add_delivery FROM @add_delivery;
EXECUTE add_delivery;
DEALLOCATE PREPARE add_delivery;
