"""pytest fixtures for applications that use Mainspring; pytest finds them by itself once `mainspring` is installed.

    def test_the_report_is_sent_each_day(mainspring_dev):
        register_tasks(mainspring_dev.address)
        mainspring_dev.advance(timedelta(days=30))
        assert len(sent_reports()) == 30

Nothing of Mainspring is imported before a test asks for a fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mainspring.client.testing import MainspringDev


@pytest.fixture
def mainspring_dev_options() -> list[str]:
    """More options of `mainspring dev` for `mainspring_dev`: override it where none are not right."""
    return []


@pytest.fixture
def mainspring_dev(mainspring_dev_options: list[str]) -> "Iterator[MainspringDev]":
    """A `mainspring dev --virtual-clock` of the test's own, gone when the test ends."""
    from mainspring.client.testing import MainspringDev, MainspringDevError

    try:
        dev = MainspringDev.start(mainspring_dev_options)
    except MainspringDevError as error:
        pytest.fail(str(error), pytrace=False)
    with dev:
        yield dev
