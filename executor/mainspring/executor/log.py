"""The executor's logger. Events are constant names; facts go in fields.

A part of the application's own process: it logs through the standard library under `mainspring.executor`, and so says
nothing below a warning unless the application configures logging.
"""

import logging
import sys
from typing import Any

import structlog

logger: Any = structlog.wrap_logger(
    logging.getLogger("mainspring.executor"),
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
)


def log_to_stderr() -> None:
    """Show what happens, for an executor that is a process of its own. Leaves a configured root logger as it is."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
