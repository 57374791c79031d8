-- Where the clock of `mainspring dev --virtual-clock` stands, microseconds UTC; NULL in a file that never had one.
ALTER TABLE cluster_settings ADD COLUMN virtual_time INTEGER;
