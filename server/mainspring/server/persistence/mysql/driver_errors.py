"""The driver's errors as domain errors: one table, by the server's error number.

The question behind the classes is always the same: can the statement have been applied?
"""

from __future__ import annotations

import pymysql.err

from mainspring.server.errors import Contention, StoreError, StoreUnavailable, UnknownOutcome

DEADLOCK = frozenset(
    {
        1213,  # deadlock: the server rolled the transaction back
        1020,  # MariaDB: the record has changed since the snapshot was made
        3101,  # group replication rolled the transaction back
    }
)
LOCK_WAIT = frozenset(
    {
        1205,  # lock wait timed out: only the statement was undone, the transaction is still open
        3572,  # NOWAIT and SKIP LOCKED where they cannot be honoured
    }
)
LOST = frozenset(
    {
        0,  # the driver's "connection closed"
        1053,  # server shutdown in progress
        1158, 1159, 1160, 1161,  # network read or write failed or timed out
        1317,  # query interrupted
        1927,  # MariaDB: connection was killed
        2006, 2013, 2014, 2027, 2055,  # the client lost the connection or its place in the protocol
        4031,  # MySQL: disconnected by the server because of inactivity
    }
)  # fmt: skip
_READ_ONLY = frozenset({1290, 1792, 1836, 3098, 3100})  # read-only, or a replication plugin refused
_REFUSED = _READ_ONLY | frozenset(
    {
        1021, 1114, 1030, 1037, 1041,  # disk full, table full, storage engine, out of memory
        1040, 1203, 1226, 1129, 1130,  # too many connections, host blocked or not allowed
        1044, 1045, 1049, 1698,  # no access, no such database
        1047,  # a cluster node that is not ready
        1206,  # lock table full
        1969, 3024,  # statement time limit of the server: the statement was undone
        2002, 2003, 2005,  # cannot connect
    }
)  # fmt: skip
_BROKEN_SQL = frozenset({1054, 1064, 1142, 1143, 1146, 1149, 1235, 1305, 1370})


class RowRefused(StoreError):
    """The server refused a value of the statement: nothing of the statement was applied.

    Never leaves `persistence.mysql`: units halve their batch until the row is alone.
    """


def code_of(error: BaseException) -> int | None:
    """The server's or client library's error number; None when the error is not the driver's."""
    if isinstance(error, pymysql.err.Error) and error.args and isinstance(error.args[0], int):
        return error.args[0]
    return None


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection cannot be used any more."""
    code = code_of(error)
    return code is None or code in LOST


def is_wrong_server(error: BaseException) -> bool:
    """Whether a new connection may reach a better server: this one is read-only, a primary that was demoted."""
    return code_of(error) in _READ_ONLY


def translate(error: BaseException, *, may_have_applied: bool) -> StoreError:
    """The domain error for what the driver raised.

    Args:
        error: what came out of the driver, a time-out included.
        may_have_applied: the statement writes and commits by itself (or is a COMMIT) and was sent.
    """
    code = code_of(error)
    said = f"{code}: {error.args[1]}" if code is not None and len(error.args) > 1 else repr(error)
    if code in DEADLOCK or code in LOCK_WAIT:
        return Contention(f"another transaction was in the way ({said})")
    if code is not None and code in _REFUSED:
        return StoreUnavailable(f"the database refuses ({said})")
    if is_connection_lost(error):
        if may_have_applied:
            return UnknownOutcome(f"the database's answer was lost ({said})")
        return StoreUnavailable(f"the database did not answer ({said})")
    if code in _BROKEN_SQL:
        return StoreError(f"the database does not understand a statement ({said})")
    return RowRefused(f"the database refused a value ({said})")
