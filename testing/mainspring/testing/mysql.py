"""Real MySQL, to prove that nothing leans on MariaDB.

Debian's stable releases carry no MySQL. Its unstable suite does, and because the packages run with their own loader and
libraries, they work on a stable system too. Unstable moves: a fetch may fail on some days, and what needs it is skipped
then. Ubuntu has MySQL among its own packages.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pymysql

from mainspring.testing.apt_sources import Distribution
from mainspring.testing.cache import build_once, cache_folder
from mainspring.testing.debian_packages import PackageSet, known_packages, program_command, unpacked
from mainspring.testing.errors import ChildFailedError, ServerUnavailableError
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

MAX_CONNECTIONS = 500
_INITIALISE_TIMEOUT_S = 180.0
_ARCHITECTURES = ("amd64", "arm64")
_UBUNTU_NAME = re.compile(r"mysql-server-core(-[89]\.\d+)?")


def packages() -> PackageSet:
    """What to fetch on this system.

    Raises:
        ServerUnavailableError: there is no MySQL for this distribution or processor.
    """
    try:
        here = Distribution.of_this_machine()
        if here.architecture in _ARCHITECTURES and here.name == "debian":
            return PackageSet("mysql", ("mysql-server-core",), suite="sid")
        if here.architecture in _ARCHITECTURES and here.name == "ubuntu":
            found = [name for name in known_packages("mysql-server-core") if _UBUNTU_NAME.fullmatch(name)]
            if found:
                return PackageSet("mysql", (found[-1],))
        reason = f"no packages known for {here.name} {here.codename} on {here.architecture}"
    except ServerUnavailableError as error:
        reason = str(error)
    raise ServerUnavailableError(f"mysql cannot be fetched: {reason}")


class MySqlServer(LocalServer, SqlServer):
    """One MySQL. Durable as in production: the log is flushed at each commit, and the binary log is on (its default)."""

    name = "MySQL"

    def __init__(
        self, folder: Path, *, port: int | None = None, buffer_pool_mb: int = 128, options: Sequence[str] = ()
    ) -> None:
        """Describe the server; nothing runs yet.

        Args:
            folder: data and log go here; existing data are used again.
            port: default a free one.
            buffer_pool_mb: InnoDB's memory, in MiB.
            options: more server options, such as "--skip-log-bin"; later ones win.
        """
        super().__init__(folder, port=port or free_port())
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
        root = unpacked(packages())
        data = self.folder / "data"
        if not data.exists():
            shutil.copytree(_template(root), data)
            (data / "auto.cnf").unlink(missing_ok=True)  # the server's identity: each copy makes its own
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return [
            *_base_command(root),
            f"--datadir={data}",
            f"--tmpdir={temporary}",
            f"--port={self.port}",
            f"--bind-address={LOOPBACK}",
            "--socket=",
            "--mysqlx=OFF",
            f"--pid-file={self.folder / 'server.pid'}",
            "--skip-name-resolve",
            "--performance-schema=OFF",
            f"--max-connections={MAX_CONNECTIONS}",
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
    command = [
        *program_command(root, root / "usr/sbin/mysqld"),
        "--no-defaults",
        f"--basedir={root / 'usr'}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={root / 'usr/lib/mysql/plugin'}",
        "--secure-file-priv=NULL",
    ]
    if os.geteuid() == 0:
        command.append("--user=root")  # it refuses to run as root unless told so
    return command


def _template(root: Path) -> Path:
    """A data folder with system tables and accounts, made once per unpacked version and copied per instance."""
    key = hashlib.sha256(repr((root.parent.name, ACCOUNTS_SQL)).encode()).hexdigest()[:12]
    return build_once(cache_folder() / f"mysql-data-{key}", lambda folder: _initialise(root, folder))


def _initialise(root: Path, data: Path) -> None:
    accounts = data.with_name(f"{data.name}.sql")
    accounts.write_text("\n".join(ACCOUNTS_SQL) + "\n")
    try:
        done = subprocess.run(
            [*_base_command(root), "--initialize-insecure", f"--datadir={data}", f"--init-file={accounts}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INITIALISE_TIMEOUT_S,
            check=False,
        )
    finally:
        accounts.unlink()
    if done.returncode != 0 or "[ERROR]" in done.stderr:
        raise ChildFailedError(
            "MySQL could not create its data folder\n" + "\n".join(done.stderr.splitlines()[-15:])
        )
