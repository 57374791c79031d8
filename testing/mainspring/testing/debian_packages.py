"""Debian packages unpacked into a folder: the one mechanism behind every server started here.

The folder is keyed by what was asked for, so a second call is instant. Programs in it run through the folder's own dynamic
loader and libraries (`program_command`), so the machine needs none of them installed.
"""

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mainspring.testing.apt_sources import Distribution
from mainspring.testing.cache import build_once, cache_folder, locked
from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.private_apt import PrivateApt

_RECIPE = 1  # raise it when a change here must not reuse folders unpacked before


@dataclass(frozen=True)
class PackageSet:
    """What to unpack.

    Attributes:
        name: begins the folder's name and appears in errors.
        closure_of: packages wanted, with all they depend on.
        keep: regular expression over package names; those of the closure that do not match in full are left out.
        suite: another suite of the same distribution ("sid"); None means the machine's own sources.
        instead: what a user without apt can set, for the error message.
    """

    name: str
    closure_of: tuple[str, ...]
    keep: str = ".*"
    suite: str | None = None
    instead: str = ""


def unpacked(wanted: PackageSet) -> Path:
    """The folder that holds the packages' files, fetched and unpacked if this is the first call.

    Raises:
        ServerUnavailableError: in one line, why that is impossible here and what to set instead.
    """
    try:
        distribution = Distribution.of_this_machine()
        key = hashlib.sha256(repr((_RECIPE, wanted, distribution)).encode()).hexdigest()[:12]
        target = cache_folder() / f"{wanted.name}-{key}"
        return build_once(target, lambda folder: _fetch(wanted, distribution, folder)) / "root"
    except ServerUnavailableError as error:
        hint = f"; set {wanted.instead} to use a server of your own" if wanted.instead else ""
        raise ServerUnavailableError(f"{wanted.name} cannot be fetched: {error}{hint}") from None


def known_packages(prefix: str) -> list[str]:
    """Names of the packages in the machine's own sources that begin so, in alphabetical order.

    Raises:
        ServerUnavailableError: no apt here, or no package lists.
    """
    distribution = Distribution.of_this_machine()
    with locked(cache_folder() / ".apt.lock"):
        return PrivateApt(_apt_state(distribution, None)).package_names(prefix)


def _apt_state(distribution: Distribution, suite: str | None) -> Path:
    return cache_folder() / f"apt-{distribution.codename}-{suite or 'own'}"


def _fetch(wanted: PackageSet, distribution: Distribution, folder: Path) -> None:
    sources = None if wanted.suite is None else distribution.sources_of_suite(wanted.suite)
    downloads, root = folder / "downloads", folder / "root"
    downloads.mkdir()
    root.mkdir()
    with locked(cache_folder() / ".apt.lock"):
        apt = PrivateApt(_apt_state(distribution, wanted.suite), sources=sources)
        names = [name for name in apt.closure(wanted.closure_of) if re.fullmatch(wanted.keep, name)]
        archives = apt.download(names, downloads)
    for archive in archives:
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True, timeout=300, stdin=subprocess.DEVNULL)
        archive.unlink()
    downloads.rmdir()
    repoint_links(root)
    (folder / "packages.txt").write_text("".join(f"{archive.name}\n" for archive in archives))


def repoint_links(root: Path) -> None:
    """Make absolute links relative where their target is inside `root`, e.g. the Java runtime's links into /etc."""
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            link = Path(parent) / name
            if not link.is_symlink():
                continue
            pointed_at = os.readlink(link)
            inside = root / pointed_at.lstrip("/")
            if pointed_at.startswith("/") and os.path.lexists(inside):
                link.unlink()
                link.symlink_to(os.path.relpath(inside, parent))


def program_command(root: Path, program: Path) -> list[str]:
    """The command that runs an unpacked program with the folder's own loader and libraries.

    Raises:
        ServerUnavailableError: the folder holds no dynamic loader, so the packages are not what was expected.
    """
    library_folders = [
        folder
        for pattern in ("lib/*-linux-gnu*", "usr/lib/*-linux-gnu*")
        for folder in sorted(root.glob(pattern))
    ]
    loaders = [found for folder in library_folders for found in sorted(folder.glob("ld-linux*.so.*"))]
    if not loaders:
        raise ServerUnavailableError(f"{root} holds no dynamic loader")
    return [str(loaders[0]), "--library-path", ":".join(map(str, library_folders)), str(program)]
