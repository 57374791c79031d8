"""A scheduler node: the pure core, the stores, the engine, dispatch to executors, and the gRPC services."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mainspring")
except PackageNotFoundError:
    __version__ = "0+source"
