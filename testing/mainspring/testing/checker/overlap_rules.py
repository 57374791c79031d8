"""I11: of a task that does not allow overlap one execution runs at a time."""

from collections.abc import Callable, Iterator

from mainspring.testing.checker.case import Evidence
from mainspring.testing.checker.verdict import Violation, violation_of
from mainspring.testing.history import Run, TaskKey


def one_at_a_time(evidence: Evidence) -> Iterator[Violation]:
    """I11: no execution starts while another one of its task runs, unless the executor of that one was given up.

    What a call triggered runs beside the schedule and is left out.
    """
    cases = {(case.key, case.scheduled_at): case for case in evidence.cases}
    by_task: dict[TaskKey, list[Run]] = {}
    for run in evidence.history.runs:
        versions = evidence.expected.versions.get(run.key, [])
        is_beside = cases[run.key, run.scheduled_at].is_beside
        if versions and all(task.overlap != "allow" for task in versions) and not is_beside:
            by_task.setdefault(run.key, []).append(run)
    margin_us = 2 * evidence.limits.executor_clock_margin_us
    for key, runs in by_task.items():
        open_runs: list[Run] = []
        for run in sorted(runs, key=lambda run: run.started_at):
            open_runs = [
                before
                for before in open_runs
                if before.ended_at is None or before.ended_at - margin_us > run.started_at
            ]
            for before in open_runs:
                if run.ended_at is not None and run.ended_at - margin_us <= before.started_at:
                    continue  # It may have come first: their executors' clocks differ by so much.
                case = cases[before.key, before.scheduled_at]
                if before.scheduled_at == run.scheduled_at or evidence.given_up_for(
                    case, before, run.started_at
                ):
                    continue
                message = (
                    f"started while the execution of {before.scheduled_at} ran, and overlap is not allowed"
                )
                yield violation_of("I11", key, run.scheduled_at, message, before, run)
            open_runs.append(run)


WHOLE_RULES: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (one_at_a_time,)
