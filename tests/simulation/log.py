"""What the product logs during a run: counted by event, for proof of what happened; bugs that it caught are kept."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, MutableMapping
from typing import Any

import structlog

EXECUTOR = "mainspring.executor"


class Log(logging.Handler):
    """The counts and the bugs; with `write`, every line goes there as well."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()
        self.bugs: list[str] = []
        self.trace: Any = None
        """Set: what is logged becomes part of the trace's lines."""

    def process(self, _: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        """A processor of structlog, the only one."""
        name = event["event"]
        self.counts[name] += 1
        if method in ("exception", "critical") or (method == "error" and event.get("exc_info")):
            self.bugs.append(f"{name}: {event.get('exc_info')!r}")
        if self.trace is not None:
            self.trace.remark(method, event)
        raise structlog.DropEvent

    def emit(self, record: logging.LogRecord) -> None:
        """A line of an executor."""
        text = record.getMessage()
        self.counts[text.partition(" ")[0]] += 1
        if record.levelno >= logging.ERROR:
            self.bugs.append(text)
        if self.trace is not None:
            self.trace.remark("executor", {"event": text})

    @contextlib.contextmanager
    def listening(self) -> Iterator[Log]:
        """Takes in what is logged in the block, and nobody else does."""
        before = structlog.get_config()
        executor = logging.getLogger(EXECUTOR)
        is_passed_on = executor.propagate
        structlog.configure(
            processors=[self.process],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=False,
        )
        executor.addHandler(self)
        executor.propagate = False
        try:
            yield self
        finally:
            executor.propagate = is_passed_on
            executor.removeHandler(self)
            structlog.configure(**before)
