"""Data folders of a database that take minutes to fill: built once below build/bench, and copied for each run."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.results import bench_folder

from mainspring.server.persistence import migrations
from mainspring.testing.cache import build_once
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.errors import TestingError
from mainspring.testing.mariadb import MariaDbServer
from mainspring.testing.run_folder import RunFolder

DATABASE = "mainspring_bench"
_STOP_S = 300.0
# Nothing of a folder half built is ever used, so it may be built fast.
_FAST = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-log-file-size=256M")
_POOL_MB = 2_048


def prepared(name: str, key: object, fill: Callable[[Cluster], None]) -> Path:
    """A data folder whose database `DATABASE` has the product's schema, and what `fill` wrote.

    Args:
        name: For people; folders of this name that were built otherwise are removed, for they are large.
        key: Tells apart what is filled in differently.
        fill: Is given a cluster of a database alone.

    Raises:
        TestingError: There is no MariaDB whose data could be copied.
    """
    schema = [part.read_bytes() for part in sorted(_migrations().glob("*.sql"))]
    digest = hashlib.sha256(repr((key, schema)).encode()).hexdigest()[:12]
    target = bench_folder() / f"{name}-{digest}"
    for other in bench_folder().glob(f"{name}-*"):
        if other != target:
            shutil.rmtree(other, ignore_errors=True)

    def build(folder: Path) -> None:
        settings = ClusterSettings(database=DATABASE, buffer_pool_mb=_POOL_MB, mariadb_options=_FAST)
        with Cluster(RunFolder.create(f"bench-{name}"), settings) as cluster:
            cluster.start_servers()
            cluster.migrate()
            fill(cluster)
            server = own_server(cluster)
            server.stop(grace_s=_STOP_S)
            shutil.move(_data_of(server), folder / "data")

    return build_once(target, build) / "data"


def copy_into(cluster: Cluster, data: Path) -> None:
    """Let a cluster that was not started begin with this data. Raises as `prepared`."""
    target = _data_of(own_server(cluster))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(data, target)


def own_server(cluster: Cluster) -> MariaDbServer:
    """The cluster's own MariaDB. Raises as `prepared`."""
    if cluster.mariadb is None:
        raise TestingError("this figure needs a MariaDB of its own: unset MAINSPRING_MYSQL_URL")
    return cluster.mariadb


def _data_of(server: MariaDbServer) -> Path:
    return server.folder / "data"


def _migrations() -> Path:
    return Path(migrations.__file__).parent
