"""The main job in one process: `make demo`'s run, smaller, and its verdict."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from mainspring.dev.demo import DevDemoSettings, fewest_cron_fires, run_dev_demo
from mainspring.testing.demo import judge
from mainspring.testing.history import KINDS, History
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.tampering import PLANTS

SMALL = DevDemoSettings(tasks=1_000)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def history() -> History:
    """The evidence of one run; logs stay in build/runs."""
    progress = Progress("acceptance", on_event=lambda elapsed_s, text: print(f"{elapsed_s:6.1f} s {text}"))
    return asyncio.run(run_dev_demo(SMALL, RunFolder.create("dev-acceptance"), progress))


def test_every_scheduled_time_ran_exactly_once_and_in_time(history: History) -> None:
    judgement = judge(history)
    assert judgement.verdict.violations == ()
    assert judgement.verdict.vacuous == ()
    assert judgement.complaints == ()
    assert judgement.report.scheduled > SMALL.tasks
    assert all(judgement.report.by_kind[kind] > 0 for kind in KINDS)


def test_each_cron_fires_four_times_and_more_and_the_herd_at_one_instant(history: History) -> None:
    assert fewest_cron_fires(history) >= 4
    assert max(Counter(row.due_at for row in history.ledger).values()) >= SMALL.tasks // 5


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_a_planted_run_turns_the_verdict_red(plant: Callable[[History], History], history: History) -> None:
    assert not judge(plant(history)).is_ok
