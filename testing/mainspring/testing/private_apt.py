"""apt with a state of its own: no root, no lock shared with the system, no effect on it.

An empty status file makes every dependency part of the closure, so what is unpacked does not lean on what happens to be
installed. Signatures and hashes are checked by apt as always.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mainspring.testing.errors import ServerUnavailableError

LISTS_MAX_AGE_S = 12 * 3600.0
_UPDATE_TIMEOUT_S = 300.0
_DOWNLOAD_TIMEOUT_S = 900.0
# Of the machine's own configuration only how to reach a mirror is kept. Its hooks (package-kit, command-not-found, ...)
# would fail for an ordinary user or touch the system.
_KEPT_SETTINGS = re.compile(r"(Acquire::(?!IndexTargets|Languages)|Dir::Etc::(?!Parts|parts|Main|main))")


class PrivateApt:
    """One set of package lists. Not for several processes at once: hold a lock around it."""

    def __init__(self, folder: Path, *, sources: str | None = None) -> None:
        """Use (and create) `folder` for the lists.

        Args:
            folder: keeps the package lists between runs.
            sources: text of a one-line-style sources list; None takes the machine's own sources.

        Raises:
            ServerUnavailableError: this machine has no apt.
        """
        for tool in ("apt-get", "apt-config", "dpkg", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise ServerUnavailableError(f"no {tool} here to fetch packages with")
        self._folder = folder
        (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (folder / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        self._sources = sources
        self._updated = folder / "updated"

    def closure(self, packages: Sequence[str]) -> list[str]:
        """Names of the packages and of everything they need, recommended ones left out.

        Raises:
            ServerUnavailableError: the lists cannot be fetched, or a package is not known.
        """
        if not self._updated.exists() or time.time() - self._updated.stat().st_mtime > LISTS_MAX_AGE_S:
            self.update()
        answer = self._run(
            [
                "apt-get",
                "install",
                "--yes",
                "--quiet=2",
                "--no-install-recommends",
                "--print-uris",
                *packages,
            ],
            timeout_s=60,
        )
        # 'http://.../zlib1g_1%3a1.2.13_amd64.deb' zlib1g_1%3a1.2.13_amd64.deb 86684 SHA256:...
        return [line.split()[1].split("_")[0] for line in answer.splitlines() if line.startswith("'")]

    def update(self) -> None:
        """Fetch the package lists.

        Raises:
            ServerUnavailableError: they cannot be had, for instance without network.
        """
        self._run(["apt-get", "update", "--quiet=2"], timeout_s=_UPDATE_TIMEOUT_S)
        self._updated.touch()

    def download(self, packages: Sequence[str], into: Path) -> list[Path]:
        """Download packages (exactly these) into an empty folder; new lists are fetched if the known versions are gone.

        Raises:
            ServerUnavailableError: one cannot be had.
        """
        command = ["apt-get", "download", "--quiet=2", *packages]
        try:
            self._run(command, timeout_s=_DOWNLOAD_TIMEOUT_S, working_folder=into)
        except ServerUnavailableError:
            self.update()
            self._run(command, timeout_s=_DOWNLOAD_TIMEOUT_S, working_folder=into)
        return sorted(into.glob("*.deb"))

    def package_names(self, prefix: str) -> list[str]:
        """Known package names that begin so; fetches lists when there are none yet."""
        if not self._updated.exists():
            self.update()
        return sorted(self._run(["apt-cache", "pkgnames", prefix], timeout_s=60).split())

    def _run(self, command: Sequence[str], *, timeout_s: float, working_folder: Path | None = None) -> str:
        # The configuration may hold a proxy's password: a private file, removed at once.
        with tempfile.TemporaryDirectory(prefix="mainspring-apt-") as folder:
            configuration = Path(folder) / "apt.conf"
            configuration.write_text(self._configuration(Path(folder)))
            try:
                done = subprocess.run(
                    command,
                    env={
                        **os.environ,
                        "APT_CONFIG": str(configuration),
                        "LC_ALL": "C",
                        "DEBIAN_FRONTEND": "noninteractive",
                    },
                    cwd=working_folder,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise ServerUnavailableError(
                    f"{command[0]} {command[1]} took longer than {timeout_s:.0f} s"
                ) from None
        if done.returncode != 0:
            lines = [
                line for line in done.stderr.splitlines() if line.startswith("E:")
            ] or done.stderr.splitlines()
            reason = " ".join(lines[0].split()) if lines else f"exit code {done.returncode}"
            raise ServerUnavailableError(f"{command[0]} {command[1]} failed: {reason}")
        return done.stdout

    def _configuration(self, folder: Path) -> str:
        machine = subprocess.run(
            ["apt-config", "dump"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
        lines = [line for line in machine.splitlines() if _KEPT_SETTINGS.match(line)]
        settings = {
            "Dir::Etc::Parts": "/dev/null",
            "Dir::Etc::Main": "/dev/null",
            "Dir::State": self._folder,
            "Dir::State::Lists": self._folder / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder,
            "Dir::Cache::archives": self._folder / "archives",
            "Dir::Log": "/dev/null",
            "APT::Sandbox::User": "root",  # as root, apt's own user could not reach a private folder
            "Debug::NoLocking": "true",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        if self._sources is not None:
            sources = folder / "sources.list"
            sources.write_text(self._sources)
            settings |= {
                "Dir::Etc::SourceList": sources,
                "Dir::Etc::SourceParts": "/dev/null",
                "Dir::Etc::Preferences": "/dev/null",
                "Dir::Etc::PreferencesParts": "/dev/null",
            }
        return "\n".join([*lines, *(f'{key} "{value}";' for key, value in settings.items())]) + "\n"
