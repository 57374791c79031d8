-- Namespaces: how long what has ended is kept. One without a row has the defaults.
-- Older software never looks here and removes nothing, so it may come back.
-- compatible-from: 4

CREATE TABLE IF NOT EXISTS namespaces (
  name         VARCHAR(200) NOT NULL,
  retention_us BIGINT       NOT NULL,
  created_at   BIGINT       NOT NULL,
  updated_at   BIGINT       NOT NULL,
  PRIMARY KEY (name)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
