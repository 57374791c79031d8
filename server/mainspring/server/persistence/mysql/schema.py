"""What the database says about itself: the schema's number and N."""

from __future__ import annotations

from mainspring.server.errors import StoreError, WrongPartitionCount
from mainspring.server.persistence.migrations import schema_version
from mainspring.server.persistence.mysql.database import Database
from mainspring.server.persistence.mysql.driver_errors import code_of
from mainspring.server.persistence.store import SchemaMissing

READ_SCHEMA = "SELECT MAX(version), MAX(compatible_from) FROM schema_migrations"
READ_PARTITION_COUNT = "SELECT partition_count FROM cluster_settings WHERE id = 1"

_NO_SUCH_DATABASE, _NO_SUCH_TABLE = 1049, 1146


async def check_schema(database: Database, configured: int | None) -> int:
    """Checks that the schema fits this software; answers N.

    Raises:
        SchemaMissing: there is none, or it is too old or too new.
        WrongPartitionCount: N is not the configured one.
        StoreUnavailable: the database does not answer.
    """
    try:
        ((version, compatible_from),) = await database.read(database.ownership, READ_SCHEMA)
        counts = await database.read(database.ownership, READ_PARTITION_COUNT)
    except StoreError as error:
        if error.__cause__ is not None and code_of(error.__cause__) in (_NO_SUCH_DATABASE, _NO_SUCH_TABLE):
            raise SchemaMissing(
                f"the database {database.settings.database!r} has no schema yet: run `mainspring migrate`"
            ) from error
        raise
    wanted = schema_version()
    if version is None or version < wanted or not counts:
        raise SchemaMissing(
            f"the schema is number {version or 0}, this software needs {wanted}: run `mainspring migrate`"
        )
    if compatible_from > wanted:
        raise SchemaMissing(
            f"the schema (number {version}) needs software that knows schema {compatible_from}; this one is older"
            f" and knows {wanted}: update it"
        )
    stored = int(counts[0][0])
    if configured is not None and configured != stored:
        raise WrongPartitionCount(configured, stored)
    return stored
