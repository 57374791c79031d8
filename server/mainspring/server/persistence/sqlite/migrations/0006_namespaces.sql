-- Namespaces: how long what has ended is kept. One without a row has the defaults.

CREATE TABLE namespaces (
  name         TEXT    NOT NULL CHECK (length(name) <= 200),
  retention_us INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;
