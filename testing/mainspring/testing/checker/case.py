"""The join of all evidence by (task, scheduled time)."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mainspring.testing.checker.excuses import Excuses
from mainspring.testing.checker.terms import Terms
from mainspring.testing.checker.verdict import Limits, Violation, violation_of
from mainspring.testing.expected import FOR_EVER_AT, Edges, Expected, due_range
from mainspring.testing.history import (
    FINAL_STATES,
    OPEN_STATES,
    AcknowledgedTask,
    Fault,
    History,
    LedgerRow,
    Record,
    Run,
    TaskKey,
)


@dataclass(slots=True)
class Case:
    """Everything known about one scheduled time of one task.

    Attributes:
        task: The definition it belongs to; None: it must not exist.
        is_must: Whether it must exist.
        rows: Its ledger rows; a sound ledger holds one. `gaps`: the gap rows that cover it.
        is_judged: Whether its lateness counts: it is due in the window.
        runs: All its runs, by attempt and start. `early_runs`: those that began before the ledger was read.
    """

    key: TaskKey
    scheduled_at: int
    task: AcknowledgedTask | None = None
    is_must: bool = False
    rows: list[LedgerRow] = field(default_factory=list)
    gaps: list[LedgerRow] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    early_runs: list[Run] = field(default_factory=list)
    is_judged: bool = False
    is_beside: bool = False
    """Whether a call added it, beside the schedule."""
    is_removed: bool = False
    """Whether its row may be gone: its task was deleted, or keeps fewer executions."""

    @property
    def row(self) -> LedgerRow | None:
        """The one row, or the first of too many."""
        return self.rows[0] if self.rows else None

    @property
    def due_at(self) -> int:
        """The ledger's due time, or the scheduled time when there is no row."""
        return self.rows[0].due_at if self.rows else self.scheduled_at

    @property
    def is_scheduled(self) -> bool:
        """Whether it counts as a scheduled time of the run: it must exist, or it may and does."""
        return self.is_must or (self.task is not None and bool(self.rows))

    @property
    def is_made_up_for(self) -> bool:
        """Whether it was missed and runs late on purpose."""
        return self.row is not None and self.row.is_made_up_for

    @property
    def is_skipped(self) -> bool:
        """Whether the ledger says that it never ran, by a policy."""
        return bool(self.gaps) or (self.row is not None and self.row.state in ("SKIPPED", "EXPIRED"))

    @property
    def is_missing(self) -> bool:
        """Whether it must have run or been recorded and was not: no row, or no run where the row tells of one."""
        if not self.rows and not self.gaps:
            return self.is_must and not self.is_removed
        return self.row is not None and not self.runs and says_it_ran(self.row)

    def run_of(self, attempt: int) -> Run | None:
        """The run of an attempt, the last one when there are several."""
        return next((run for run in reversed(self.runs) if run.attempt == attempt), None)

    def violation(self, invariant: str, message: str, *evidence: Record | None) -> Violation:
        """A violation by this scheduled time; without evidence given, all that is known of it."""
        records: list[Record] = [record for record in evidence if record is not None]
        if not records:
            records = [
                record for record in (self.task, *self.rows, *self.gaps, *self.runs) if record is not None
            ]
        return violation_of(invariant, self.key, self.scheduled_at, message, *records)


def says_it_ran(row: LedgerRow) -> bool:
    """Whether the row tells that its last attempt started on an executor."""
    return row.picked_up_at is not None or row.state in ("SUCCEEDED", "RUNNING")


class Evidence(Excuses):
    """A history, joined: one case per scheduled time that must exist or of which any witness tells."""

    def __init__(self, history: History, limits: Limits) -> None:
        super().__init__(history, limits)
        self.terms = None if history.audit is None else Terms(history.audit)
        self.expected = Expected(
            history.tasks,
            history.window_from_at,
            history.window_until_at,
            Edges(
                limits.clock_margin_us,
                lambda key, due_at: self.deadline(due_at, key),
                self.reaches_back,
            ),
        )
        self.rows_by_task: dict[TaskKey, list[LedgerRow]] = {}
        self.gaps_by_task: dict[TaskKey, list[LedgerRow]] = {}
        for row in history.ledger:
            by_task = self.rows_by_task if row.gap_until is None else self.gaps_by_task
            by_task.setdefault(row.key, []).append(row)
        for rows in (*self.rows_by_task.values(), *self.gaps_by_task.values()):
            rows.sort(key=lambda row: row.scheduled_at)
        self.executor_ids = {run.executor_id for run in history.runs} | {
            row.executor_id for row in history.ledger if row.executor_id
        }
        self._kept_runs: dict[TaskKey, list[tuple[int, int]]] | None = None
        self._busy_until: dict[TaskKey, list[int]] = {}
        self.cases = self._join()

    def sender_of(self, case: Case, run: Run) -> str | None:
        """The node that sent a run's attempt: who owned the partition under its epoch, as far as anybody knows."""
        if self.terms is not None and (owner := self.terms.owner_of(run.partition_id, run.epoch)):
            return owner
        row = case.row
        return row.node_id if row is not None and row.epoch == run.epoch else None

    def given_up_for(self, case: Case, run: Run, until_at: int) -> list[Fault]:
        """Faults for which a run had to be given up by an instant, by who had sent it or has owned its partition since."""
        return self.silences(run, until_at, self._owners_of(case, run, until_at))

    def _owners_of(self, case: Case, run: Run, until_at: int) -> frozenset[str]:
        terms = [] if self.terms is None else self.terms.by_partition.get(run.partition_id, [])
        owners = {
            term.owner_id
            for term in terms
            if term.from_at <= until_at and (term.until_at is None or run.started_at <= term.until_at)
        }
        return frozenset(owner for owner in (*owners, self.sender_of(case, run)) if owner is not None)

    def was_busy(self, case: Case) -> bool:
        """Whether its policy explains that it did not run: an execution of an earlier time was open when it was due, for all
        that its owner knew; or a later one was due by the time it was decided on, and replaced it."""
        if case.task is None or case.task.overlap == "allow":
            return False
        busy_until = self.busy_until(case)
        if busy_until >= case.due_at - self.limits.write_us:
            return True
        if case.row is None:
            return False
        decided_at = case.row.claimed_at or case.due_at
        if self._was_busy_unseen(case, decided_at):
            return True
        # What an outage held up was written, and so known, when that was over.
        known_at = self.written_by(busy_until) + self.limits.unknown_end_us
        if known_at >= case.due_at and self.faults_during(busy_until, decided_at):
            return True
        return case.task.overlap == "replace" and any(
            row.scheduled_at > case.scheduled_at and row.due_at <= decided_at + self.limits.clock_margin_us
            for row in self.rows_by_task.get(case.key, [])
        )

    def _was_busy_unseen(self, case: Case, decided_at: int) -> bool:
        """Whether something was open that `busy_until` does not know: what a call had triggered by the time it was decided
        on, though due later; or what has run and is not in the ledger any more."""
        earliest_end_at = min(case.due_at, decided_at) - self.limits.write_us
        if case.key in self.lives.triggers and any(
            row.origin == "TRIGGER"
            and (row.claimed_at or row.due_at) <= decided_at + self.limits.clock_margin_us
            and _end_of(row) >= decided_at - self.limits.write_us
            for row in self.rows_by_task.get(case.key, ())
        ):
            return True
        return self.may_lack_rows(case.key) and any(
            scheduled_at < case.scheduled_at and self._known_by(ended_at, decided_at) >= earliest_end_at
            for scheduled_at, ended_at in self._runs_of_kept().get(case.key, ())
        )

    def _known_by(self, ended_at: int, decided_at: int) -> int:
        """By when an end is known: in the middle of a fault it may be told late."""
        if ended_at >= decided_at or not self.faults_during(ended_at, decided_at):
            return ended_at
        return self.written_by(ended_at) + self.limits.unknown_end_us

    def _runs_of_kept(self) -> dict[TaskKey, list[tuple[int, int]]]:
        """Scheduled times of the runs of tasks that may lack rows, and when they ended."""
        if self._kept_runs is None:
            self._kept_runs = {}
            for run in self.history.runs:
                if self.may_lack_rows(run.key):
                    ended_at = FOR_EVER_AT if run.ended_at is None else run.ended_at
                    self._kept_runs.setdefault(run.key, []).append((run.scheduled_at, ended_at))
        return self._kept_runs

    def since(self, case: Case) -> int:
        """Since when it could run: its due time, or the end of what was open before it where it waits for that.

        What a call triggered runs beside the schedule: what waits for its turn then waits for that too, though it is due
        later.
        """
        if case.task is None or case.task.overlap == "allow":
            return case.due_at
        return max(case.due_at, self.busy_until(case), self._busy_beside_until(case))

    def _busy_beside_until(self, case: Case) -> int:
        """When the last of what calls had triggered before it started had ended; 0 when there is none."""
        if case.row is None or not case.runs or case.is_beside or case.key not in self.lives.triggers:
            return 0
        started_at = min(run.started_at for run in case.runs)
        ends = [
            _end_of(row)
            for row in self.rows_by_task.get(case.key, ())
            if row.origin == "TRIGGER" and (row.claimed_at or row.due_at) <= started_at
        ]
        return max((end for end in ends if end <= started_at), default=0)

    def replaced_by(self, case: Case) -> LedgerRow | None:
        """The execution that may have replaced this one, by the policy of its task.

        One of a later scheduled time; what a call triggered is also replaced by an earlier one that is claimed after it.
        """
        if case.row is None or case.task is None or case.task.overlap != "replace":
            return None
        from_at, until_at = case.row.claimed_at or 0, case.row.saved_at or 0
        replacing = (
            row
            for row in self.rows_by_task[case.key]
            if row.origin != "TRIGGER"
            and row.claimed_at is not None
            and row.claimed_at <= until_at
            and (row.scheduled_at > case.scheduled_at or (case.is_beside and row.claimed_at >= from_at))
        )
        return next(replacing, None)

    def busy_until(self, case: Case) -> int:
        """When the last of the task's executions of earlier times had ended; 0 when there is none."""
        rows = self.rows_by_task.get(case.key, [])
        ends = self._busy_until.get(case.key)
        if ends is None:
            ends, latest = [], 0
            for row in rows:
                latest = max(latest, _end_of(row))
                ends.append(latest)
            self._busy_until[case.key] = ends
        earlier = bisect_left(rows, case.scheduled_at, key=lambda row: row.scheduled_at)
        return ends[earlier - 1] if earlier > 0 else 0

    def due_range(self, case: Case) -> tuple[int, int]:
        """Earliest and latest due time, by the client's word; the ledger's when nobody knows the task."""
        if case.task is None or case.is_beside:
            return case.due_at, case.due_at
        earliest, latest = due_range(case.task, case.scheduled_at, self.limits.clock_margin_us)
        # A time that passed while its task was paused is due when that is resumed.
        for pause in self.lives.pauses.get(case.key, ()):
            if pause.from_at <= self.deadline(latest, case.key) and earliest <= pause.until_at:
                latest = max(latest, pause.until_at + self.limits.clock_margin_us)
        return earliest, latest

    def may_lack_rows(self, key: TaskKey) -> bool:
        """Whether rows of a task may be gone by rights: it was deleted, or keeps no more than so many."""
        versions = self.expected.versions.get(key, ())
        return key in self.lives.deletions or any(task.keep_executions for task in versions)

    def is_removed(self, case: Case) -> bool:
        """Whether its row may be gone: its task was deleted, or so many executions behind it are kept."""
        if case.key in self.lives.deletions:
            return True
        versions = self.expected.versions.get(case.key, ())
        keeps = [task.keep_executions for task in versions if task.keep_executions is not None]
        if not keeps:
            return False
        kept = (*self.rows_by_task.get(case.key, ()), *self.gaps_by_task.get(case.key, ()))
        newer = [row for row in kept if row.scheduled_at > case.scheduled_at and row.state in FINAL_STATES]
        return len(newer) >= min(keeps)

    def _join(self) -> list[Case]:
        cases: dict[tuple[TaskKey, int], Case] = {}
        for key, musts in self.expected.must.items():
            for scheduled_at, task in musts.items():
                cases[key, scheduled_at] = Case(key, scheduled_at, task, is_must=True)

        def case_of(key: TaskKey, scheduled_at: int) -> Case:
            case = cases.get((key, scheduled_at))
            if case is None:
                task = self.expected.version_of(key, scheduled_at)
                case = cases[key, scheduled_at] = Case(key, scheduled_at, task)
            return case

        for key, rows in self.rows_by_task.items():
            for row in rows:
                case = case_of(key, row.scheduled_at)
                case.rows.append(row)
                if row.origin == "TRIGGER":
                    case.is_beside = True
                    case.task = case.task or self._version_at(key, row.scheduled_at)
        for run in sorted(self.history.runs, key=lambda run: (run.attempt, run.started_at)):
            case = case_of(run.key, run.scheduled_at)
            case.runs.append(run)
            if run.started_at < self.history.ledger_read_at:
                case.early_runs.append(run)
        for key, triggers in self.lives.triggers.items():
            for call in triggers:  # of which the row may be gone
                triggered = None if call.scheduled_at is None else cases.get((key, call.scheduled_at))
                if triggered is not None:
                    triggered.is_beside = True
                    triggered.task = triggered.task or self._version_at(key, triggered.scheduled_at)
        by_task: dict[TaskKey, list[Case]] = {}
        for case in cases.values():
            case.is_judged = case.is_must or self._is_in_window(case)
            case.is_removed = not case.rows and not case.gaps and self.is_removed(case)
            if case.key in self.gaps_by_task:
                by_task.setdefault(case.key, []).append(case)
        for key, of_task in by_task.items():
            _cover(of_task, self.gaps_by_task[key])
        return list(cases.values())

    def _version_at(self, key: TaskKey, at: int) -> AcknowledgedTask | None:
        """The definition that a task may have had at an instant, the latest one."""
        versions = self.expected.versions.get(key, [])
        sent = [task for task in versions if task.sent_at - self.limits.clock_margin_us <= at]
        return sent[-1] if sent else None

    def _is_in_window(self, case: Case) -> bool:
        return self.history.window_from_at <= case.due_at < self.history.window_until_at


def _cover(cases: Iterable[Case], gaps: Sequence[LedgerRow]) -> None:
    ordered = iter(sorted(cases, key=lambda case: case.scheduled_at))
    open_gaps: list[LedgerRow] = []
    waiting = list(reversed(gaps))
    for case in ordered:
        while waiting and waiting[-1].scheduled_at <= case.scheduled_at:
            open_gaps.append(waiting.pop())
        open_gaps = [
            gap for gap in open_gaps if gap.gap_until is not None and gap.gap_until >= case.scheduled_at
        ]
        case.gaps.extend(open_gaps)


def _end_of(row: LedgerRow) -> int:
    if row.state in OPEN_STATES:
        return FOR_EVER_AT
    if row.state == "SKIPPED":
        return 0
    return max(row.saved_at or 0, row.finished_at or 0)
