"""Folders that are built once and shared by every process of this checkout.

A folder is complete if and only if it has its final name: it is built under a temporary one and renamed at the end, so an
interrupted build is never mistaken for a finished one.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mainspring.testing.errors import TestingError

LOCK_TIMEOUT_S = 900.0
_LOCK_POLL_S = 0.1


def repository_root() -> Path | None:
    """The checkout this package is imported from, or None when it was installed as a wheel."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").is_file() else None


def cache_folder() -> Path:
    """Where servers are unpacked: `MAINSPRING_CACHE`, else `build/servers` of the checkout, else `~/.cache/mainspring`."""
    configured = os.environ.get("MAINSPRING_CACHE")
    if configured:
        folder = Path(configured).expanduser().absolute()
    else:
        root = repository_root()
        folder = root / "build" / "servers" if root else Path.home() / ".cache" / "mainspring"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TestingError(
            f"cannot create the cache folder {folder}: {error.strerror}; set MAINSPRING_CACHE"
        ) from None
    return folder


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold an exclusive lock between processes; the kernel frees it when the holder dies.

    Raises:
        TestingError: another process held the lock for the whole of `timeout_s`, or the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise TestingError(f"cannot lock {path}: {error.strerror}; set MAINSPRING_CACHE") from None
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TestingError(f"another process has held {path} for {timeout_s:.0f} s") from None
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Return `target`, letting `build` fill it first if it does not exist yet.

    Safe for several processes at once: one builds, the others wait and find it done. `build` gets an empty folder beside
    the target; whatever it raises leaves no trace. The finished folder may belong to another user.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f".{target.name}.lock"):
        if target.is_dir():
            return target
        prefix = f".{target.name}.part-"
        for leftover in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        try:
            temporary.chmod(0o755)
            build(temporary)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return target
