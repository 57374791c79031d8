"""Instants of the core are int microseconds since 1970 UTC."""

from __future__ import annotations

from typing import Final

SECOND_US: Final = 1_000_000
"""A second in microseconds."""
