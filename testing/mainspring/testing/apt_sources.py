"""Which distribution this is, and how to reach another suite of it on the machine's own mirror."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from mainspring.testing.errors import ServerUnavailableError

_DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Distribution:
    """The running system.

    Attributes:
        name: `ID` of os-release, such as "debian" or "ubuntu".
        codename: such as "bookworm"; "unknown" when os-release has none.
        architecture: Debian's word for it, such as "amd64".
    """

    name: str
    codename: str
    architecture: str

    @classmethod
    def of_this_machine(cls, os_release: Path = Path("/etc/os-release")) -> "Distribution":
        """Read os-release and ask dpkg.

        Raises:
            ServerUnavailableError: not a system with Debian packages.
        """
        try:
            lines = os_release.read_text().splitlines()
            asked = subprocess.run(
                ["dpkg", "--print-architecture"], capture_output=True, text=True, timeout=30, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            raise ServerUnavailableError("this system has no Debian packages (no apt and dpkg)") from None
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        return cls(
            values.get("ID", "unknown").strip('"'),
            values.get("VERSION_CODENAME", "unknown").strip('"'),
            asked.stdout.strip(),
        )

    def sources_of_suite(self, suite: str, folder: Path = Path("/etc/apt")) -> str:
        """A sources list with `suite` alone, on the mirror that serves this machine's own suite.

        Raises:
            ServerUnavailableError: no source of this machine serves its own suite.
        """
        files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
        for path in sorted(folder.glob("sources.list.d/*.sources")):
            for uri, suites, signed_by in _deb822_entries(path):
                if self.codename in suites:
                    return _line(uri, suite, signed_by)
        for path in files:
            for uri, suites, signed_by in _one_line_entries(path):
                if self.codename in suites:
                    return _line(uri, suite, signed_by)
        raise ServerUnavailableError(f"no apt source of this machine serves {self.codename}")


def _line(uri: str, suite: str, signed_by: str) -> str:
    keyring = signed_by if signed_by.startswith("/") else _DEBIAN_KEYRING
    option = f"[signed-by={keyring}] " if Path(keyring).exists() else ""
    return f"deb {option}{uri} {suite} main\n"


def _deb822_entries(path: Path) -> list[tuple[str, list[str], str]]:
    entries = []
    for stanza in path.read_text().split("\n\n"):
        lines = [line for line in stanza.splitlines() if line and not line.startswith(("#", " ", "\t"))]
        fields = {
            key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)
        }
        usable = "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no"
        if usable and fields.get("uris"):
            entries.append(
                (fields["uris"].split()[0], fields.get("suites", "").split(), fields.get("signed-by", ""))
            )
    return entries


def _one_line_entries(path: Path) -> list[tuple[str, list[str], str]]:
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        kind, _, rest = line.strip().partition(" ")
        if kind != "deb":
            continue
        signed_by = ""
        rest = rest.strip()
        if rest.startswith("["):
            options, _, rest = rest[1:].partition("]")
            signed_by = next(
                (o.removeprefix("signed-by=") for o in options.split() if o.startswith("signed-by=")), ""
            )
        words = rest.split()
        if len(words) >= 2:
            entries.append((words[0], [words[1]], signed_by))
    return entries
