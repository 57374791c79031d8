"""What the database says about itself: the schema's number, N and the cluster's id."""

from __future__ import annotations

from mainspring.server.errors import StoreError, WrongPartitionCount
from mainspring.server.persistence.migrations import schema_version
from mainspring.server.persistence.mysql.database import Database
from mainspring.server.persistence.mysql.driver_errors import code_of
from mainspring.server.persistence.store import SchemaMissing

READ_SCHEMA = "SELECT MAX(version), MAX(compatible_from) FROM schema_migrations"
READ_SETTINGS = "SELECT partition_count, cluster_id FROM cluster_settings WHERE id = 1"

_NO_SUCH_DATABASE, _NO_SUCH_TABLE = 1049, 1146


async def check_schema(database: Database, configured: int | None) -> tuple[int, str]:
    """Checks that the schema fits this software; answers N and the cluster's id.

    Raises:
        SchemaMissing: there is none, or it is too old or too new.
        WrongPartitionCount: N is not the configured one.
        StoreUnavailable: the database does not answer.
    """
    try:
        ((version, compatible_from),) = await database.read(database.ownership, READ_SCHEMA)
        wanted = schema_version()
        # Older schemas may lack a column.
        is_recent = version is not None and version >= wanted
        settings = await database.read(database.ownership, READ_SETTINGS) if is_recent else ()
    except StoreError as error:
        if error.__cause__ is not None and code_of(error.__cause__) in (_NO_SUCH_DATABASE, _NO_SUCH_TABLE):
            raise SchemaMissing(
                f"the database {database.settings.database!r} has no schema yet: run `mainspring migrate`"
            ) from error
        raise
    if not is_recent or not settings or settings[0][1] is None:
        raise SchemaMissing(
            f"the schema is number {version or 0}, this software needs {wanted}: run `mainspring migrate`"
        )
    if compatible_from > wanted:
        raise SchemaMissing(
            f"the schema (number {version}) needs software that knows schema {compatible_from}; this one is older"
            f" and knows {wanted}: update it"
        )
    stored = int(settings[0][0])
    if configured is not None and configured != stored:
        raise WrongPartitionCount(configured, stored)
    return stored, str(settings[0][1])
