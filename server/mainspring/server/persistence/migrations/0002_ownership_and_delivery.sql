-- A cluster's identity, how tasks are delivered, who freed a partition, and the record of changes of owner.
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

-- Hand-over: the last owner of a free partition, and since when nobody fires it.
SET @add_release = IF(
  (SELECT COUNT(*) FROM information_schema.columns
   WHERE table_schema = DATABASE() AND table_name = 'partitions' AND column_name = 'released_at') = 0,
  'ALTER TABLE partitions ADD COLUMN released_at BIGINT NULL, ADD COLUMN released_by VARCHAR(64) NULL',
  'DO 0');
PREPARE add_release FROM @add_release;
EXECUTE add_release;
DEALLOCATE PREPARE add_release;

-- Hand-over: one row a change of owner, the newest 100 of each partition. Instants are microseconds UTC.
CREATE TABLE IF NOT EXISTS handovers (
  partition_id    SMALLINT UNSIGNED NOT NULL,
  epoch           BIGINT UNSIGNED   NOT NULL,
  reason          TINYINT UNSIGNED  NOT NULL,
  from_node       VARCHAR(64)       NULL,
  to_node         VARCHAR(64)       NOT NULL,
  released_at     BIGINT            NULL,
  noticed_at      BIGINT            NULL,
  firing_at       BIGINT            NOT NULL,
  late_count      INT UNSIGNED      NOT NULL,
  max_lateness_us BIGINT            NOT NULL,
  PRIMARY KEY (partition_id, epoch),
  KEY firing (firing_at, partition_id, epoch)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
