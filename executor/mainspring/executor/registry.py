"""Handlers by name."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mainspring.executor.job import Job

HandlerResult = bytes | str | None
"""What a handler returns: bytes, text (kept as UTF-8), or nothing."""

AsyncFunction = Callable[[Job], Awaitable[HandlerResult]]
PlainFunction = Callable[[Job], HandlerResult]
HandlerFunction = AsyncFunction | PlainFunction

Function = TypeVar("Function", bound=Callable[[Job], Any])

MAX_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function.

    Attributes:
        name: What tasks ask for.
        function: Called with one `Job`.
        is_async: Whether it runs on the event loop; plain functions run in threads.
    """

    name: str
    function: Callable[[Job], Any]
    is_async: bool


class HandlerRegistry:
    """Handlers by name. Filled before the executor runs, read-only afterwards."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def handler(self, name: str) -> Callable[[Function], Function]:
        """Return a decorator that registers an async or plain function of one `Job` under a name.

        Raises:
            ValueError: The name is empty, overlong or taken.
        """

        def register(function: Function) -> Function:
            self.register(name, function)
            return function

        return register

    def register(self, name: str, function: Callable[[Job], Any]) -> None:
        """Register an async or plain function of one `Job` under a name.

        Raises:
            ValueError: The name is empty, overlong or taken.
        """
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise ValueError(f"a handler's name has 1 to {MAX_NAME_LENGTH} characters")
        if name in self._handlers:
            raise ValueError(f"handler {name!r} is registered already")
        called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
        self._handlers[name] = Handler(name, function, is_async)

    def include(self, other: "HandlerRegistry") -> None:
        """Register every handler of another registry here too.

        Raises:
            ValueError: A name is taken.
        """
        for handler in other._handlers.values():
            self.register(handler.name, handler.function)

    def get(self, name: str) -> Handler | None:
        """Return the handler, or None when there is none of that name."""
        return self._handlers.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, sorted."""
        return tuple(sorted(self._handlers))
