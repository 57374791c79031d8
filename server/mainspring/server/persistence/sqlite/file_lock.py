"""One process a file: a second one is refused at once instead of fighting over it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from dataclasses import dataclass
from typing import ClassVar

from mainspring.server.errors import StoreUnavailable


@dataclass(slots=True)
class _Held:
    """A lock of this process and how many share it."""

    descriptor: int
    users: int


class FileLock:
    """The right of this process to serve a database file; shared by all stores of the process on that file.

    A lock of the operating system on `<path>-lock`, so it ends with the process, however that ends. It lies beside the
    database because SQLite's own locks would be lost when a second descriptor of the database file is closed. May be
    used from any thread.
    """

    _held: ClassVar[dict[str, _Held]] = {}
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: str) -> None:
        self._path = path
        self._key = os.path.realpath(path)
        self._is_held = False

    def acquire(self) -> None:
        """Takes the lock; nothing happens when this object has it.

        Raises:
            StoreUnavailable: another process has it, or the folder is missing or not writable.
        """
        with self._guard:
            if self._is_held:
                return
            held = self._held.get(self._key)
            if held is None:
                held = self._held[self._key] = _Held(self._lock(), 0)
            held.users += 1
            self._is_held = True

    def release(self) -> None:
        """Gives it back; the last user's release frees it for other processes."""
        with self._guard:
            if not self._is_held:
                return
            self._is_held = False
            held = self._held[self._key]
            held.users -= 1
            if held.users == 0:
                del self._held[self._key]
                os.close(held.descriptor)

    def _lock(self) -> int:
        try:
            descriptor = os.open(f"{self._key}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"cannot open the database {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            by = f"process {holder}" if holder else "another process"
            raise StoreUnavailable(
                f"the database {self._path} is in use by {by}: only one process may serve a file"
            ) from error
        # For the message above alone.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor
