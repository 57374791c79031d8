"""Structured logs: a constant event name, facts in fields. JSON lines, or for people when asked."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging(level: str, form: str, **context: str) -> None:
    """Sets the process's logging up, once.

    Args:
        level: "debug", "info", "warning" or "error".
        form: "json", or "console" for people.
        context: fields that every line carries, such as the node id.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**context)
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(name)s %(levelname)s %(message)s"
    )
