"""The driver's exceptions, sorted into what the contract knows."""

from __future__ import annotations

import sqlite3

from mainspring.server.errors import StoreError, StoreUnavailable

REFUSED_VALUES = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)
"""A value does not fit its column: too long, beyond 64 bits, or not writable as UTF-8. The statement did nothing, the
transaction goes on."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else holds a lock; nothing was applied."""
    return _primary_code(error) in _BUSY


def is_foreign_file(error: sqlite3.Error) -> bool:
    """Whether the file is no SQLite database at all."""
    return _primary_code(error) == sqlite3.SQLITE_NOTADB


def store_error(error: sqlite3.Error, name: str) -> StoreError:
    """The contract's exception for an error that ended a transaction, which was rolled back."""
    if _primary_code(error) in _UNAVAILABLE:
        return StoreUnavailable(f"the database {name} cannot be used: {error}")
    return StoreError(f"the database {name} failed: {error}")


def _primary_code(error: sqlite3.Error) -> int:
    # Not every exception of the driver carries a code: those that it raises by itself do not.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
