"""The lock file: whole, in step with pyproject.toml, and without any word about where packages come from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
LOCK = (ROOT / "requirements.lock").read_text()
RUN, _, DEVELOPMENT = LOCK.partition("\n# ---- development only ----\n")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned(text: str) -> dict[str, str]:
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


def requirements(*groups: list[str]) -> list[Requirement]:
    return [Requirement(text) for group in groups for text in group]


def test_both_sections_are_there_and_disjoint() -> None:
    assert pinned(RUN)
    assert pinned(DEVELOPMENT)
    assert not pinned(RUN).keys() & pinned(DEVELOPMENT).keys()


def test_no_index_no_address_no_option() -> None:
    assert "://" not in LOCK
    assert [line for line in LOCK.splitlines() if line.startswith("-")] == []


def test_every_package_has_hashes() -> None:
    packages = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert [package.splitlines()[0] for package in packages if "--hash=sha256:" not in package] == []


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        (
            RUN,
            requirements(
                PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]["server"]
            ),
        ),
        (RUN, requirements(PROJECT["build-system"]["requires"], ["editables"])),
        (LOCK, requirements(PROJECT["dependency-groups"]["dev"])),
    ],
    ids=["run", "build backend", "development"],
)
def test_every_dependency_of_the_project_is_pinned_within_its_bounds(
    section: str, wanted: list[Requirement]
) -> None:
    pins = pinned(section)
    for requirement in wanted:
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} but locked {version}: run `make lock`"
        )
