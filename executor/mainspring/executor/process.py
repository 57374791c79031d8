"""An executor as a process of its own: what `mainspring executor` runs."""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mainspring.executor.executor import Executor
from mainspring.executor.log import log_to_stderr
from mainspring.executor.mock_handlers import mock_registry
from mainspring.executor.registry import HandlerRegistry


class HandlersNotFound(Exception):
    """The handlers named on the command line cannot be loaded; the message says why."""


def load_handlers(spec: str) -> HandlerRegistry:
    """Return the registry that `module:attribute` names: an `Executor` or a `HandlerRegistry`.

    The working directory is importable, as under `python -m`.

    Raises:
        HandlersNotFound: There is no such module or attribute, or it is neither.
    """
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise HandlersNotFound(f"{spec!r}: expected module:attribute, such as app.jobs:executor")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise HandlersNotFound(f"{spec!r}: {error}") from error
    for name in attribute.split("."):
        found = getattr(found, name, None)
    if isinstance(found, Executor):
        return found.registry
    if isinstance(found, HandlerRegistry):
        return found
    raise HandlersNotFound(f"{spec!r} is {type(found).__name__}; expected an Executor or a HandlerRegistry")


def run_executor(
    addresses: str | Sequence[str],
    *,
    capacity: int = 100,
    handlers: Sequence[str] = (),
    mock: bool = False,
    run_log: Path | None = None,
    executor_id: str | None = None,
    drain_timeout_s: float = 30.0,
) -> int:
    """Run an executor in this thread until SIGTERM or SIGINT; returns the exit code.

    Args:
        addresses: host:port of one node or several; the others are learnt.
        capacity: How many items of work run at once, over all nodes together.
        handlers: `module:attribute` of an `Executor` or a `HandlerRegistry`, any number of them.
        mock: Adds `noop`, `sleep`, `fail` and `echo`.
        run_log: A file to append evidence of every run to.
        executor_id: Unique per process start; made when None.
        drain_timeout_s: How long a stop waits, in seconds.

    Raises:
        HandlersNotFound: Handlers cannot be loaded, or none are named.
        ValueError: A setting is out of range, or two handlers have one name.
        OSError: The run log cannot be opened.
    """
    log_to_stderr()
    registry = HandlerRegistry()
    for spec in handlers:
        registry.include(load_handlers(spec))
    if mock:
        registry.include(mock_registry())
    if not registry.names:
        raise HandlersNotFound("no handler is registered: name some, or use the mock handlers")
    executor = Executor(
        addresses,
        capacity=capacity,
        executor_id=executor_id,
        drain_timeout_s=drain_timeout_s,
        run_log=run_log,
        registry=registry,
    )
    return executor.main()
