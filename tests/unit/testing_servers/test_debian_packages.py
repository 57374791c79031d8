"""Unpacked packages: links, loader, another suite of the same mirror, and one clear line where there is no apt."""

import subprocess
from pathlib import Path

import pytest

from mainspring.testing.apt_sources import Distribution
from mainspring.testing.debian_packages import PackageSet, program_command, repoint_links, unpacked
from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.mariadb import PACKAGES as MARIADB
from mainspring.testing.private_apt import PrivateApt
from mainspring.testing.zookeeper import PACKAGES as ZOOKEEPER

HERE = Distribution("debian", "bookworm", "amd64")


def test_absolute_links_into_the_folder_become_relative(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for folder in ("etc/java", "usr/lib/jvm/lib", "lib/x86_64-linux-gnu", "lib64"):
        (root / folder).mkdir(parents=True)
    (root / "etc/java/jvm.cfg").write_text("-server KNOWN")
    links = {
        "usr/lib/jvm/lib/jvm.cfg": "/etc/java/jvm.cfg",
        "lib64/folder": "/etc/java",
        "usr/outside": "/no/such/file",
    }
    for link, pointed_at in links.items():
        (root / link).symlink_to(pointed_at)
    (root / "usr/relative").symlink_to("lib/jvm")
    repoint_links(root)
    moved = root.rename(tmp_path / "moved")
    assert (moved / "usr/lib/jvm/lib/jvm.cfg").read_text() == "-server KNOWN"
    assert (moved / "lib64/folder/jvm.cfg").read_text() == "-server KNOWN"
    assert str((moved / "usr/outside").readlink()) == "/no/such/file"
    assert str((moved / "usr/relative").readlink()) == "lib/jvm"


def test_a_program_runs_with_the_folder_s_own_loader(tmp_path: Path) -> None:
    old, merged = tmp_path / "lib/x86_64-linux-gnu", tmp_path / "usr/lib/x86_64-linux-gnu"
    for folder in (old, merged):
        folder.mkdir(parents=True)
    (merged / "ld-linux-x86-64.so.2").touch()
    assert program_command(tmp_path, tmp_path / "usr/sbin/mariadbd") == [
        f"{merged}/ld-linux-x86-64.so.2",
        "--library-path",
        f"{old}:{merged}",
        f"{tmp_path}/usr/sbin/mariadbd",
    ]


@pytest.mark.parametrize(
    ("wanted", "variable"), [(MARIADB, "MAINSPRING_MYSQL_URL"), (ZOOKEEPER, "MAINSPRING_ZOOKEEPER")]
)
def test_without_apt_one_line_says_what_to_set(
    wanted: PackageSet, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailableError) as unavailable:
        unpacked(wanted)
    message = str(unavailable.value)
    assert variable in message
    assert "no apt" in message
    assert "\n" not in message


def test_an_unknown_package_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSPRING_CACHE", str(tmp_path))

    def refused(self: PrivateApt, packages: tuple[str, ...]) -> list[str]:
        raise ServerUnavailableError(f"apt-get install failed: E: Unable to locate package {packages[0]}")

    monkeypatch.setattr(PrivateApt, "closure", refused)
    with pytest.raises(
        ServerUnavailableError, match=r"^thing cannot be fetched: .*Unable to locate package no-such-thing$"
    ):
        unpacked(PackageSet("thing", ("no-such-thing",)))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(("thing", ".thing.part"))] == []


def test_a_failing_program_is_reported_by_its_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("apt-get", "apt-config", "dpkg", "dpkg-deb"):
        (tools / tool).write_text(
            "#!/bin/sh\nif [ $1 = dump ]; then echo 'Acquire::Retries \"1\";'; exit 0; fi\n"
            "echo 'W: a warning' >&2; echo 'E: Could not resolve  mirror' >&2; exit 100\n"
        )
        (tools / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    with pytest.raises(ServerUnavailableError, match=r"^apt-get update failed: E: Could not resolve mirror$"):
        PrivateApt(tmp_path / "state").closure(["thing"])


def test_hooks_of_the_machine_do_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = "\n".join(
        [
            'APT::Update::Post-Invoke:: "touch /forbidden";',
            'Acquire::http::Proxy "http://proxy:3128";',
            'Acquire::Languages:: "de";',
            'Dir::Etc::Parts "apt.conf.d";',
            'Dir::Etc::sourceparts "other.d";',
        ]
    )
    real_run = subprocess.run

    def run(command: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
        if command[0] == "apt-config":
            return subprocess.CompletedProcess(command, 0, stdout=dump, stderr="")
        return real_run(command, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("mainspring.testing.private_apt.shutil.which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr("mainspring.testing.private_apt.subprocess.run", run)
    written = PrivateApt(tmp_path / "state")._configuration(tmp_path)
    assert "forbidden" not in written
    assert 'Acquire::http::Proxy "http://proxy:3128";' in written
    assert 'Dir::Etc::sourceparts "other.d";' in written
    assert 'Dir::Etc::Parts "/dev/null";' in written
    assert '"de"' not in written


DEB822 = """Types: deb
# a comment
URIs: http://security.mirror/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://mirror/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /no/such/keyring.gpg
"""
ONE_LINE = """# deb http://wrong/debian bookworm main
deb-src http://wrong/debian bookworm main
deb [arch=amd64 signed-by=/no/such/keyring.gpg] http://mirror/debian bookworm main contrib
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [("sources.list.d/debian.sources", DEB822), ("sources.list", ONE_LINE)],
    ids=["deb822", "one-line"],
)
def test_another_suite_comes_from_the_same_mirror(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert HERE.sources_of_suite("sid", tmp_path) == "deb http://mirror/debian sid main\n"


def test_a_machine_without_a_source_of_its_own_suite_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailableError, match="no apt source of this machine serves bookworm"):
        HERE.sources_of_suite("sid", tmp_path)
