"""Stand-ins for what a simulated node does not need: a gRPC server, metrics."""

from __future__ import annotations

from typing import Any


class SilentServer:
    """What `Node` uses of a gRPC server; nobody listens."""

    async def start(self) -> None:
        pass

    async def stop(self, grace: float | None) -> None:
        pass


class _Anything:
    """A metric that forgets."""

    def labels(self, *_: object) -> _Anything:
        return self

    def observe(self, _: float) -> None:
        pass

    def inc(self, _: float = 1) -> None:
        pass

    def set(self, _: float) -> None:
        pass


_ANYTHING = _Anything()


class SilentMetrics:
    """Every metric of a node, none of them kept."""

    def __getattr__(self, name: str) -> Any:
        return _ANYTHING

    def stage(self, name: str, from_at: int | None, to_at: int) -> None:
        pass

    def batch(self, unit: str, size: int) -> None:
        pass

    def ended(self, state: str) -> None:
        pass
