"""The executor's logger. Events are constant names; facts go in fields."""

from typing import Any

import structlog

logger: Any = structlog.get_logger("mainspring.executor")
