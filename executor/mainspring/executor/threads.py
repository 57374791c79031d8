"""Threads for plain handlers.

Not `concurrent.futures`: its threads are joined when the interpreter ends, so one stuck handler would keep a
drained executor from leaving.
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

IDLE_THREAD_S = 30.0
"""A thread without work for this long ends."""


class ThreadPool:
    """Daemon threads, started as needed, at most as many as the caller runs at once.

    The caller bounds the number of calls in flight: every call gets a thread at once. For one event loop.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    @property
    def count(self) -> int:
        """How many threads exist."""
        return self._count

    def submit(self, call: Callable[[], None]) -> None:
        """Run a call on a thread; it must not raise."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                is_new = False
            else:
                self._count += 1
                is_new = True
        self._calls.put(call)
        if is_new:
            threading.Thread(target=self._work, name=f"mainspring-handler-{self._count}", daemon=True).start()

    def close(self) -> None:
        """End the idle threads; busy ones end after their call."""
        with self._lock:
            count = self._count
        for _ in range(count):
            self._calls.put(None)

    def _work(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=IDLE_THREAD_S)
            except Empty:
                with self._lock:
                    # A call may have been promised to this thread between the timeout and the lock.
                    if not self._idle:
                        continue
                    self._idle -= 1
                    self._count -= 1
                return
            if call is None:
                with self._lock:
                    self._count -= 1
                return
            call()
            del call  # keep no job alive while idle
            with self._lock:
                self._idle += 1
