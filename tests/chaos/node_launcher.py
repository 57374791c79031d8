"""Runs a node whose event loop can be blocked from outside: SIGUSR2 makes its main thread sleep for so many seconds.

In the place of `mainspring` in tests. The product knows nothing of it: the handler runs wherever the main thread is, as
code of a user's that blocks would.
"""

import os
import runpy
import signal
import time

STALL_VARIABLE = "MAINSPRING_TEST_STALL_S"


def _stall(*_: object) -> None:
    time.sleep(float(os.environ[STALL_VARIABLE]))


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, _stall)
    runpy.run_module("mainspring.cli", run_name="__main__", alter_sys=True)
