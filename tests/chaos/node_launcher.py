"""Runs a node whose event loop can be blocked from outside: SIGUSR2 makes its main thread sleep for so many seconds.

In the place of `mainspring` in tests. The product knows nothing of it: the handler runs wherever the main thread is, as
code of a user's that blocks would. Retention begins soon instead of minutes after a take-over: no campaign lasts so long.
"""

import os
import runpy
import signal
import time
from functools import partial

from mainspring.server.engine import settings

STALL_VARIABLE = "MAINSPRING_TEST_STALL_S"
RETENTION_FIRST_S = 5.0


def _stall(*_: object) -> None:
    time.sleep(float(os.environ[STALL_VARIABLE]))


if __name__ == "__main__":
    # Before anybody else imports it.
    soon = partial(settings.EngineSettings, retention_first_s=RETENTION_FIRST_S, retention_round_s=30.0)
    settings.EngineSettings = soon  # type: ignore[assignment,misc]
    signal.signal(signal.SIGUSR2, _stall)
    runpy.run_module("mainspring.cli", run_name="__main__", alter_sys=True)
