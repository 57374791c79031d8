"""docs/virtual-clock.md, run: its commands in their order, and its test by pytest."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.test_dev_tutorial import ROOT, Reader, steps_of

PAGE = (ROOT / "docs" / "virtual-clock.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    # As once the package is installed with its entry point: a checkout may have been installed before there was one.
    made.environment["PYTEST_ADDOPTS"] = "-p mainspring.pytest_plugin"
    yield made
    made.close()


def test_every_command(reader: Reader) -> None:
    steps = list(steps_of(PAGE))
    assert sum(step.kind == "run" for step in steps) == 6, "the page was read"
    reader.follow(steps)
