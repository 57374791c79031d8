"""The main job with real processes: MariaDB, ZooKeeper, nodes, executors; a node joins, a node leaves, nothing is lost."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable

import pytest

from mainspring.testing.audit_trail import member_name
from mainspring.testing.cluster import ClusterSettings
from mainspring.testing.demo import DemoSettings, Judgement, judge, run_demo
from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.external import external_sql_server
from mainspring.testing.history import KINDS, History, Kind
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.tampering import double_run, lose_run, silence_kind

SMALL = DemoSettings(
    tasks=1_500,
    lead_s=4,
    spread_s=12,
    tail_s=1,
    join_at_s=1,
    stop_at_s=8,
    cluster=ClusterSettings(has_audit=external_sql_server() is None),
)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def history() -> History:
    """The evidence of one run; logs stay in build/runs."""
    progress = Progress("acceptance", on_event=lambda elapsed_s, text: print(f"{elapsed_s:6.1f} s {text}"))
    try:
        return asyncio.run(run_demo(SMALL, RunFolder.create("acceptance"), progress))
    except ServerUnavailableError as error:
        reason = str(error)
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def invariants(judgement: Judgement) -> Counter[str]:
    return Counter(violation.invariant for violation in judgement.verdict.violations)


def test_every_scheduled_time_ran_exactly_once_and_in_time(history: History) -> None:
    judgement = judge(history)
    assert judgement.verdict.violations == ()
    assert judgement.verdict.vacuous == ()
    assert judgement.complaints == ()
    assert judgement.report.scheduled > SMALL.tasks
    assert all(judgement.report.by_kind[kind] > 0 for kind in KINDS)


def test_the_database_saw_ownership_move_and_nothing_that_must_not_be(history: History) -> None:
    if history.audit is None:
        pytest.skip("needs an account that may create triggers")
    owners = {
        member_name(change.new_owner_id) for change in history.audit.ownership_changes if change.new_owner_id
    }
    assert owners == {"node-1", "node-2", "node-3", "node-4"}
    assert len(history.audit.final_partitions) == SMALL.cluster.partitions
    assert history.audit.stale_writes == history.audit.final_overwrites == ()
    assert history.deadlocks is not None
    assert history.deadlocks.on_server <= history.deadlocks.retried or history.deadlocks.has_gaps


def test_the_node_that_joined_and_the_one_that_left_both_did_their_part(history: History) -> None:
    names = {member_name(node_id) for node_id in judge(history).report.nodes}
    assert names == {"node-1", "node-2", "node-3", "node-4"}
    assert [(fault.kind, fault.target) for fault in history.faults] == [
        ("join", "node-4"),
        ("stop", "node-2"),
    ]
    assert {run.executor_id for run in history.runs} == {"executor-1", "executor-2"}


@pytest.mark.parametrize(
    ("tamper", "invariant"),
    [pytest.param(lose_run, "I1", id="lost"), pytest.param(double_run, "I6", id="double")],
)
def test_a_planted_run_turns_the_verdict_red(
    history: History, tamper: Callable[[History], History], invariant: str
) -> None:
    judgement = judge(tamper(history))
    assert not judgement.is_ok
    assert invariants(judgement)[invariant] >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_schedule_that_never_fires_turns_the_verdict_red(history: History, kind: Kind) -> None:
    judgement = judge(silence_kind(history, kind))
    assert not judgement.is_ok
    assert f"no {kind} task fired" in judgement.verdict.vacuous
    assert invariants(judgement)["I4"] >= 1
