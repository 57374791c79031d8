"""A wrong wall clock for one process, to be changed while it runs: `date` of everybody else stays as it is.

A small library (`clock_shim.c`) is compiled once with the machine's C compiler and loaded into the child by LD_PRELOAD. It
moves CLOCK_REALTIME, gettimeofday and time by what stands in a file; the monotonic clock, and so every time-out, goes on as
before. Linux with glibc only.
"""

import hashlib
import mmap
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

from mainspring.testing.cache import build_once, cache_folder
from mainspring.testing.errors import ServerUnavailableError

SOURCE = Path(__file__).with_name("clock_shim.c")
LIBRARY = "clock_shim.so"
OFFSET_FILE_VARIABLE = "MAINSPRING_CLOCK_OFFSET_FILE"
_COMPILERS = ("cc", "gcc", "clang")
_COMPILE_TIMEOUT_S = 60.0
_OFFSET = struct.Struct("=q")


class ClockShim:
    """The wall clock of the processes that were started with `environment`."""

    def __init__(self, library: Path, offset_file: Path) -> None:
        """Use a compiled library; see `prepare`."""
        self._library = library
        self._offset_file = offset_file
        self._offset_us = 0

    @classmethod
    def prepare(cls, offset_file: Path) -> "ClockShim":
        """Compile the library unless that was done before, and make the file, with an offset of nothing.

        Raises:
            ServerUnavailableError: there is no C compiler here, or it cannot compile this.
        """
        shim = cls(clock_library(), offset_file.absolute())
        offset_file.write_bytes(_OFFSET.pack(0))
        return shim

    @property
    def environment(self) -> dict[str, str]:
        """To be added to the environment of the child, whose own children inherit it."""
        loaded = os.environ.get("LD_PRELOAD")
        return {
            "LD_PRELOAD": f"{self._library}:{loaded}" if loaded else str(self._library),
            OFFSET_FILE_VARIABLE: str(self._offset_file),
        }

    @property
    def offset_us(self) -> int:
        """How far the clock is ahead, in microseconds."""
        return self._offset_us

    def set_offset(self, seconds: float) -> None:
        """Put the clock so far ahead (behind, when negative) of this machine's, from now on."""
        self._offset_us = round(seconds * 1_000_000)
        # In one store into the page that the children have mapped, so that nobody reads half of it.
        with self._offset_file.open("r+b") as file, mmap.mmap(file.fileno(), _OFFSET.size) as mapped:
            memoryview(mapped).cast("q")[0] = self._offset_us


def clock_library() -> Path:
    """The compiled library, in the cache folder. Raises as `ClockShim.prepare`."""
    if not sys.platform.startswith("linux"):
        raise ServerUnavailableError(f"a process cannot be given a clock of its own on {sys.platform}")
    key = hashlib.sha256(SOURCE.read_bytes() + os.uname().machine.encode()).hexdigest()[:12]
    return build_once(cache_folder() / f"clock-shim-{key}", _compile) / LIBRARY


def _compile(folder: Path) -> None:
    wanted = [os.environ["CC"]] if os.environ.get("CC") else list(_COMPILERS)
    compiler = next((found for name in wanted if (found := shutil.which(name))), None)
    if compiler is None:
        raise ServerUnavailableError(
            f"a clock of its own needs a C compiler: no {' or '.join(wanted)}; set CC"
        )
    command = [
        compiler,
        "-O2",
        "-Wall",
        "-shared",
        "-fPIC",
        "-o",
        str(folder / LIBRARY),
        str(SOURCE),
        "-ldl",
        "-pthread",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"code {done.returncode}"]
        raise ServerUnavailableError(f"{compiler} cannot compile {SOURCE.name}: {lines[0]}")
