"""The store on MySQL 8+ or MariaDB 10.6+, in the SQL that both understand.

`settings` what is configured · `connection`, `driver_errors` the only importers of the driver · `pool` one lane of
connections · `database` the lanes, and retries of whole units · `literals` values as SQL text · then a module for each
group of units: `tasks`, `ledger`, `window`, `claims`, `attempts`, `partitions` · `schema` what start checks ·
`migrate` the runner of migrations · `store` all of it as one `Store`.

Sessions run READ COMMITTED, strict, in UTC, and die after 3 s without a sign of life: what a frozen node has locked is
free before its membership ends.
"""
