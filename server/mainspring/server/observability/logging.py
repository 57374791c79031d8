"""Structured logs: a constant event name, facts in fields. JSON lines, or for people when asked.

What libraries log through the standard library takes the same form, so that a log is JSON throughout.
"""

from __future__ import annotations

import logging
import sys

import structlog

LIBRARY_LEVELS = {"kazoo": logging.ERROR, "asyncio": logging.ERROR}
"""Their warnings repeat what this project's own lines say."""


def configure_logging(level: str, form: str, **context: str) -> None:
    """Sets the process's logging up, once.

    Args:
        level: "debug", "info", "warning" or "error".
        form: "json", or "console" for people.
        context: fields that every line carries, such as the node id.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=False)
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**context)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    for name, least in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(least)
