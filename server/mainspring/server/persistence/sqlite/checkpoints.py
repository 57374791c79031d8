"""Keeps the write-ahead log short, off the event loop."""

from __future__ import annotations

import sqlite3
import threading

import structlog

_log = structlog.get_logger("mainspring.store")

_BUSY_TIMEOUT_S = 1.0
_JOIN_TIMEOUT_S = 5.0


class Checkpointer:
    """A thread that copies the write-ahead log into the database file when it is told that the log has grown.

    This is what waits for the disk. Twice: first while writers go on, which moves the bulk; then what came meanwhile, with
    the write lock held, so that the log can be emptied: one that is written to all the time would otherwise grow
    without end. Writers find the database busy for that moment and try again.

    `start`, `wake` and `stop` belong to the thread that owns the store.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_wanted = threading.Event()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="sqlite-checkpoints", daemon=True)

    def start(self) -> None:
        """Starts the thread; it sleeps until it is woken."""
        self._thread.start()

    def wake(self) -> None:
        """Asks for a checkpoint; several requests before it begins are one."""
        self._is_wanted.set()

    def stop(self) -> None:
        """Ends the thread after the checkpoint in hand."""
        self._is_stopped = True
        self._is_wanted.set()
        self._thread.join(_JOIN_TIMEOUT_S)

    def _run(self) -> None:
        try:
            connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.Error as error:
            _log.error("store.checkpoints_off", error=str(error))
            return
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            while True:
                self._is_wanted.wait()
                self._is_wanted.clear()
                if self._is_stopped:
                    return
                self._checkpoint(connection)
        finally:
            connection.close()

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            # The log stays, nothing is lost: the next request tries again.
            _log.warning("store.checkpoint_failed", error=str(error))
