"""MariaDB from the distribution's packages: the everyday MySQL-protocol server of tests and demos."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pymysql

from mainspring.testing.cache import build_once, cache_folder
from mainspring.testing.debian_packages import PackageSet, program_command, unpacked
from mainspring.testing.errors import ChildFailedError
from mainspring.testing.local_server import LocalServer
from mainspring.testing.ports import LOOPBACK, free_port
from mainspring.testing.sql_server import (
    ACCOUNTS_SQL,
    ADMINISTRATOR,
    ADMINISTRATOR_PASSWORD,
    PASSWORD,
    USER,
    SqlServer,
    connect,
    sql_url,
)

PACKAGES = PackageSet("mariadb", ("mariadb-server-core",), instead="MAINSPRING_MYSQL_URL")
MAX_CONNECTIONS = 500
_INITIALISE_TIMEOUT_S = 120.0
# What `mariadb-install-db` feeds to the server. The script itself is not used: it starts programs by their names, without
# the unpacked folder's loader.
_SYSTEM_TABLES = (
    ("mysql_system_tables.sql", "mariadb_system_tables.sql"),
    ("mysql_performance_tables.sql", "mariadb_performance_tables.sql"),
    ("mysql_system_tables_data.sql", "mariadb_system_tables_data.sql"),
)


class MariaDbServer(LocalServer, SqlServer):
    """One MariaDB. Durable as in production: the log is flushed at each commit."""

    name = "MariaDB"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        buffer_pool_mb: int = 128,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the server; nothing runs yet.

        Args:
            folder: data and log go here; existing data are used again.
            port: default a free one.
            buffer_pool_mb: InnoDB's memory, in MiB.
            options: more server options, such as "--log-bin"; later ones win.
            environment: added to that of the server, such as a clock of its own (`ClockShim`).
        """
        super().__init__(folder, port=port or free_port(), environment=environment)
        self._buffer_pool_mb = buffer_pool_mb
        self._options = list(options)

    @property
    def url(self) -> str:
        """URL of the everyday account, no database named."""
        return sql_url(LOOPBACK, self.port, USER, PASSWORD)

    @property
    def administrator_url(self) -> str:
        """URL of an account with every privilege."""
        return sql_url(LOOPBACK, self.port, ADMINISTRATOR, ADMINISTRATOR_PASSWORD)

    def _prepare(self) -> list[str]:
        root = unpacked(PACKAGES)
        data = self.folder / "data"
        if not data.exists():
            shutil.copytree(_template(root), data)
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return [
            *_base_command(root),
            f"--datadir={data}",
            f"--tmpdir={temporary}",
            f"--port={self.port}",
            f"--bind-address={LOOPBACK}",
            "--socket=",  # its path would be too long in a deep folder, and TCP is what production uses
            f"--pid-file={self.folder / 'server.pid'}",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            f"--max-connections={MAX_CONNECTIONS}",
            "--back-log=256",
            "--innodb-flush-log-at-trx-commit=1",
            f"--innodb-buffer-pool-size={self._buffer_pool_mb}M",
            *self._options,
        ]

    def _answers(self) -> bool:
        try:
            connect(self.url, timeout_s=1.0).close()
        except (pymysql.Error, OSError):
            return False
        return True


def _base_command(root: Path) -> list[str]:
    share = root / "usr/share/mysql"
    if not share.is_dir():
        share = root / "usr/share/mariadb"
    command = [
        *program_command(root, root / "usr/sbin/mariadbd"),
        "--no-defaults",
        f"--basedir={root / 'usr'}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={root / 'usr/lib/mysql/plugin'}",
    ]
    if os.geteuid() == 0:
        command.append("--user=root")  # it refuses to run as root unless told so
    return command


def _template(root: Path) -> Path:
    """A data folder with system tables and accounts, made once per unpacked version and copied per instance."""
    key = hashlib.sha256(repr((root.parent.name, _SYSTEM_TABLES, ACCOUNTS_SQL)).encode()).hexdigest()[:12]
    return build_once(cache_folder() / f"mariadb-data-{key}", lambda folder: _initialise(root, folder))


def _initialise(root: Path, data: Path) -> None:
    statements = ["CREATE DATABASE mysql;", "USE mysql;", "SET @auth_root_socket = NULL;"]
    for alternatives in _SYSTEM_TABLES:
        found = [path for name in alternatives for path in sorted((root / "usr/share").glob(f"m*/{name}"))]
        if not found:
            raise ChildFailedError(f"MariaDB's package holds no {alternatives[0]}")
        statements.append(found[0].read_text())
    statements += ["FLUSH PRIVILEGES;", *ACCOUNTS_SQL]
    done = subprocess.run(
        [
            *_base_command(root),
            "--bootstrap",
            f"--datadir={data}",
            "--log-warnings=0",
            "--max-allowed-packet=8M",
        ],
        input="\n".join(statements) + "\n",
        capture_output=True,
        text=True,
        timeout=_INITIALISE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise ChildFailedError(
            "MariaDB could not create its system tables\n" + "\n".join(done.stderr.splitlines()[-15:])
        )
