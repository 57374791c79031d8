"""Databases for the tests of what is particular to MySQL: plans, sessions, pools, migrations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(params=["mariadb", "mysql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database on each server."""
    server = request.getfixturevalue(request.param)
    with server.fresh_database() as url:
        yield url
