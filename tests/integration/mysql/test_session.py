"""How each session is set up, on both servers."""

from __future__ import annotations

from mainspring.server.persistence.mysql.database import Database
from mainspring.server.persistence.mysql.settings import MySQLSettings

VARIABLES = (
    "innodb_lock_wait_timeout",
    "lock_wait_timeout",
    "wait_timeout",
    "net_read_timeout",
    "net_write_timeout",
    "time_zone",
    "sql_mode",
    "character_set_client",
    "autocommit",
)


async def test_sessions_are_short_lived_strict_and_in_utc(database_url: str) -> None:
    database = Database(MySQLSettings.from_url(database_url))
    columns = ", ".join(f"@@SESSION.{name}" for name in VARIABLES)
    try:
        for pool in database.pools:
            ((*values,),) = await database.read(pool, f"SELECT {columns}")
            session = dict(zip(VARIABLES, values, strict=True))
            assert session["sql_mode"].split(",")[0] == "STRICT_ALL_TABLES"
            del session["sql_mode"]
            assert session == {
                "innodb_lock_wait_timeout": 2,
                "lock_wait_timeout": 2,
                "wait_timeout": 3,
                "net_read_timeout": 3,
                "net_write_timeout": 3,
                "time_zone": "+00:00",
                "character_set_client": "utf8mb4",
                "autocommit": 1,
            }
    finally:
        await database.close()


async def test_sessions_read_what_is_committed(database_url: str) -> None:
    """By behaviour, since the variable's name differs: under REPEATABLE READ the second read would see nothing new."""
    database = Database(MySQLSettings.from_url(database_url))
    try:
        await database.write(database.api, "CREATE TABLE probe (id INT PRIMARY KEY) ENGINE=InnoDB")

        async def body(transaction):  # type: ignore[no-untyped-def]
            (before,) = await transaction.run("SELECT COUNT(*) FROM probe")
            await database.write(database.api, "INSERT INTO probe VALUES (1)")
            (after,) = await transaction.run("SELECT COUNT(*) FROM probe")
            return before.rows[0][0], after.rows[0][0]

        assert await database.transaction(database.hot, body, is_read_only=True) == (0, 1)
    finally:
        await database.close()
