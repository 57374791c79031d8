"""What the demo says of a run."""

from mainspring.testing.demo import Judgement, judge
from mainspring.testing.history import AcknowledgedTask, History, LedgerRow, Run

SECOND_US = 1_000_000
AT = 1_800_000_000 * SECOND_US


def run_of_one_task(*, has_run: bool = True) -> Judgement:
    task = AcknowledgedTask("n", "t", "one-time", "noop", AT - 9 * SECOND_US, AT - 8 * SECOND_US, at=AT)
    started_at = AT + 1_000
    run = Run("n", "t", AT, 1, 1, 0, "executor-1", "noop", started_at, started_at + 10, "succeeded")
    row = LedgerRow(
        "n",
        "t",
        AT,
        AT,
        "SUCCEEDED",
        1,
        1,
        "executor-1",
        "node-1",
        AT,
        AT,
        started_at,
        started_at,
        started_at,
    )
    history = History(
        (task,),
        (run,) if has_run else (),
        (row,),
        (),
        AT - 10 * SECOND_US,
        AT + SECOND_US,
        AT + 60 * SECOND_US,
    )
    return judge(history)


def test_the_demo_is_stricter_than_the_checker_about_what_never_ran() -> None:
    assert run_of_one_task().complaints == ()
    assert any("did not run" in complaint for complaint in run_of_one_task(has_run=False).complaints)
