"""What a campaign showed: the checker's verdict on the whole, and figures of each episode held against its promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.campaign import Episode

from mainspring.testing.checker import Limits, Verdict, check
from mainspring.testing.checker.case import Case, Evidence
from mainspring.testing.checker.excuses import after_pauses
from mainspring.testing.history import History, TaskKey

SECOND_US = 1_000_000
NEVER_TO_START = ("LOST", "CANCELLED", "SKIPPED", "EXPIRED")
RACES_PER_MINUTE: Mapping[str, int] = {"raced_pause": 20, "raced_update": 15, "calls_trigger": 5}
"""Calls about tasks that met a fire, so many at least in a minute of a campaign: else it proves little about them."""


@dataclass(frozen=True, slots=True)
class EpisodeFigures:
    """Of one episode.

    Attributes:
        due: Executions that fell due in it.
        runs_again: Executions with a run in it that ran more than once.
        lost: Executions that ended as LOST in it.
        late_us: The greatest lateness of a first start, as the bound counts it.
        late_from_due_us: The same counted from the due time, whatever was away.
        registered: Tasks that were acknowledged in it; `slowest_registration_us`: the longest that any sent in it took.
    """

    episode: Episode
    due: int
    runs_again: int
    lost: int
    late_us: int
    late_from_due_us: int
    registered: int
    slowest_registration_us: int

    @property
    def keeps_bound(self) -> bool:
        """Whether nothing was later than promised."""
        return self.late_us <= self.episode.bound_us


@dataclass(frozen=True, slots=True)
class CampaignJudgement:
    """A campaign's evidence and what was found in it."""

    history: History
    verdict: Verdict
    figures: tuple[EpisodeFigures, ...]

    @property
    def removed(self) -> int:
        """Old executions that retention removed."""
        audit = self.history.audit
        writes = () if audit is None else audit.final_overwrites
        return sum(
            write.state_after is None and write.namespace in self.history.retentions for write in writes
        )

    @property
    def complaints(self) -> tuple[str, ...]:
        """Why it is not ok, a line each."""
        found = [str(violation) for violation in self.verdict.violations[:20]]
        if len(self.verdict.violations) > len(found):
            found.append(f"... and {len(self.verdict.violations) - len(found)} more violations")
        found += [f"proves nothing: {reason}" for reason in self.verdict.vacuous]
        if self.history.retentions and not self.removed:
            found.append("proves nothing: retention removed nothing")
        for figures in self.figures:
            if not figures.due:
                found.append(f"{figures.episode.name}: nothing was due")
            if not figures.registered and not figures.episode.outages:
                found.append(f"{figures.episode.name}: no registration was acknowledged")
            bound_us = figures.episode.registers_within_us
            if bound_us is not None and figures.slowest_registration_us > bound_us:
                found.append(
                    f"{figures.episode.name}: a registration took {figures.slowest_registration_us / SECOND_US:.2f} s, "
                    f"promised are {bound_us / SECOND_US:g} s"
                )
            if not figures.keeps_bound:
                found.append(
                    f"{figures.episode.name}: {figures.late_us / SECOND_US:.2f} s late, "
                    f"promised are {figures.episode.bound_us / SECOND_US:g} s"
                )
        return tuple(found)


def judge(history: History, episodes: Sequence[Episode]) -> CampaignJudgement:
    """Judge a campaign."""
    minutes = (history.window_until_at - history.window_from_at) / (60 * SECOND_US)
    required = (
        {name: int(minutes * count) for name, count in RACES_PER_MINUTE.items()} if history.calls else {}
    )
    limits = Limits(required_calls=required)
    evidence = Evidence(history, limits)
    figures = tuple(figures_of(evidence, episode) for episode in episodes)
    return CampaignJudgement(history, check(history, limits), figures)


def figures_of(evidence: Evidence, episode: Episode) -> EpisodeFigures:
    """The figures of what was due from the fault's begin until all had settled.

    What nothing had started when the ledger was read counts as late until then. What was held, or whose task was paused,
    is due when that has ended.
    """
    history = evidence.history
    cases: dict[tuple[TaskKey, int], Case] = {(case.key, case.scheduled_at): case for case in evidence.cases}
    outages = sorted(episode.outages, key=lambda fault: fault.from_at)
    due = lost = late_us = late_from_due_us = 0
    for row in history.ledger:
        lost += row.state == "LOST" and episode.from_at <= (row.saved_at or 0) < episode.settled_at
        if row.gap_until is not None or not episode.from_at <= row.due_at < episode.settled_at:
            continue
        due += 1
        case = cases[row.key, row.scheduled_at]
        if (not case.runs and row.state in NEVER_TO_START) or row.is_made_up_for:
            continue
        first_at = min((run.started_at for run in case.runs), default=history.ledger_read_at)
        pauses = evidence.lives.pauses.get(row.key, ())
        since_at = after_pauses(pauses, evidence.since(case), episode.bound_us)
        late_from_due_us = max(late_from_due_us, first_at - since_at)
        rests = sorted([*outages, *pauses], key=lambda rest: rest.from_at)
        late_us = max(late_us, first_at - min(first_at, after_pauses(rests, since_at, episode.bound_us)))
    again = sum(
        len(case.runs) > 1 and any(episode.from_at <= r.started_at < episode.settled_at for r in case.runs)
        for case in cases.values()
    )
    registered = sum(
        task.acknowledged_at is not None and episode.from_at <= task.acknowledged_at < episode.settled_at
        for task in history.tasks
    )
    slowest_us = max(
        (
            (task.acknowledged_at or history.ledger_read_at) - task.sent_at
            for task in history.tasks
            if episode.from_at <= task.sent_at < episode.settled_at
        ),
        default=0,
    )
    return EpisodeFigures(episode, due, again, lost, late_us, late_from_due_us, registered, slowest_us)
