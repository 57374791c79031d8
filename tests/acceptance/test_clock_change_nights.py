"""Two nights in which Berlin changes its clocks, on a whole cluster whose nodes all die just before the change.

Cluster time is the database's clock, so MariaDB alone gets a clock of its own; nodes, executors and this test keep the
machine's, months away from it. Schedules by the second bring every policy into the half minute about the change.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from mainspring.client import Execution, ExecutionState, MainspringClient, TaskState
from mainspring.server.core.next_fire import fires_between
from mainspring.server.rpc.schedule_requests import checked_schedule
from mainspring.testing.clock_shim import ClockShim
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.ledger import instant, moment
from mainspring.testing.mariadb import MariaDbServer
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.run_log import read_run_logs
from mainspring.v1 import policy_pb2, task_pb2, task_service_pb2, task_service_pb2_grpc
from mainspring.v1 import schedule_pb2 as pb

ZONE = "Europe/Berlin"
SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)
"""02:00 becomes 03:00."""
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""03:00 becomes 02:00."""
LEAD, AFTER = timedelta(seconds=28), timedelta(seconds=15)
REGISTERED_BEFORE = timedelta(seconds=12)
PICKED_UP_WITHIN_S = 10.0
MOST = 12
"""Scheduled times of a task that ends by their count, in the seconds about the change."""
PARTITIONS = 48
NODES, EXECUTORS = 3, 2


class NightCluster(Cluster):
    """A cluster with a database whose clock is put where it is wanted."""

    def __init__(self) -> None:
        super().__init__(RunFolder.create("clock-change-nights"), ClusterSettings(partitions=PARTITIONS))
        self.clock = ClockShim.prepare(self.folder.data / "database.clock")
        self.mariadb = MariaDbServer(
            self.folder.data / "mariadb", buffer_pool_mb=32, environment=self.clock.environment
        )

    def now(self) -> datetime:
        """What the database's clock shows."""
        return datetime.fromtimestamp(time.time(), UTC) + timedelta(microseconds=self.clock.offset_us)

    def put_clock(self, at: datetime) -> None:
        """While no node runs: a running one would not follow."""
        self.clock.set_offset((at - datetime.now(UTC)).total_seconds())

    def start_nodes(self) -> None:
        """All at once, at the addresses that the executors know; returns when they listen."""
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(self.start_again, self.nodes))

    def kill_nodes(self) -> None:
        for node in self.nodes:
            node.kill()


@pytest.fixture
def cluster() -> Iterator[NightCluster]:
    with NightCluster() as made:
        yield made


def cron(*expressions: str, **policies: int) -> pb.Schedule:
    return pb.Schedule(cron=pb.CronSchedule(expressions=expressions, time_zone=ZONE, **policies))  # type: ignore[arg-type]


def schedules() -> dict[str, pb.Schedule]:
    """By the second about the change; the wall times from 02:00 to 03:00 are those in the gap and in the repeat."""
    made = {
        "wild": cron("*/2 * * * * *"),
        "fixed-before": cron("*/2 59 1 * * *"),
        "fixed-after": cron("*/3 0 3 * * *"),
        "interval": pb.Schedule(interval=pb.IntervalSchedule(every=Duration(seconds=3), phase=Duration())),
    }
    made["excluded"] = cron("*/2 * 1-3 * * *")
    made["excluded"].exclusions.expressions.append("*/10 * * * * *")
    made["counted"] = cron("*/2 * * * * *")
    made["counted"].max_executions = MOST
    made["spread"] = cron("*/4 * * * * *")
    made["spread"].jitter.FromSeconds(3)
    for gap in (pb.GAP_POLICY_FIRE_AFTER, pb.GAP_POLICY_SKIP):
        for repeat in (pb.REPEAT_POLICY_FIRST, pb.REPEAT_POLICY_LAST, pb.REPEAT_POLICY_BOTH):
            policies = {"gap_policy": gap, "repeat_policy": repeat}
            named = f"{pb.GapPolicy.Name(gap)[11:]}-{pb.RepeatPolicy.Name(repeat)[14:]}".lower()
            made[f"fixed-{named}"] = cron("*/2 * 2 * * *", **policies)
            made[f"several-{named}"] = cron(
                "*/4 59 2 * * *", "*/4 0 2 * * *", "1-59/20 * * * * *", **policies
            )
            made[f"calendar-{named}"] = pb.Schedule(
                calendar_interval=pb.CalendarIntervalSchedule(
                    unit=pb.CALENDAR_UNIT_DAY,
                    times=["02:00:00", "02:00:06", "02:59:50", "02:59:57", "03:00:07"],
                    time_zone=ZONE,
                    **policies,  # type: ignore[arg-type]
                )
            )
    return made


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_that_dies_in_the_nights_fires_what_the_schedules_say(cluster: NightCluster) -> None:
    cluster.start_servers()
    cluster.put_clock(SPRING - LEAD)
    cluster.migrate()
    for _ in range(NODES):
        cluster.add_node(waits=False)
    cluster.wait_until_listening()
    for _ in range(EXECUTORS):
        cluster.add_executor()
    found = go_through(cluster, "spring", SPRING, down_before=timedelta(seconds=5))
    change = instant(SPRING)
    for repeat in ("first", "last", "both"):
        assert found[f"fixed-fire_after-{repeat}"] == [change]
        assert found[f"fixed-skip-{repeat}"] == []
    assert change in found["several-fire_after-first"]
    assert change not in found["several-skip-first"]
    cluster.kill_nodes()
    cluster.put_clock(AUTUMN - LEAD)
    cluster.start_nodes()
    # Now so late that nobody fires at the change itself.
    found = go_through(cluster, "autumn", AUTUMN, down_before=timedelta(seconds=2))
    change = instant(AUTUMN)
    for gap in ("fire_after", "skip"):
        first, last, both = (found[f"fixed-{gap}-{repeat}"] for repeat in ("first", "last", "both"))
        assert max(first) < change == min(last)
        assert both == first + last


def go_through(
    cluster: NightCluster, night: str, changes_at: datetime, *, down_before: timedelta
) -> dict[str, list[int]]:
    """Fires through a night, and judges it; returns the scheduled times of each task."""
    asyncio.run(until_ready(cluster))
    tasks = tasks_of(night, cluster.now(), changes_at + AFTER)
    registered_at = register(cluster, tasks)
    assert max(registered_at.values()) < changes_at - REGISTERED_BEFORE, (
        "this machine was too slow to begin in time"
    )
    sleep_until(cluster, changes_at - down_before)
    killed_at = cluster.now()
    cluster.kill_nodes()
    cluster.start_nodes()
    back_at = cluster.now()
    sleep_until(cluster, changes_at + AFTER)
    rows = asyncio.run(
        final_rows(cluster, night, {task.id for task in tasks if task.schedule.HasField("end_time")})
    )
    found: dict[str, list[int]] = {task.id: [] for task in tasks}
    for row in rows:
        assert (row.state, row.gap) == (ExecutionState.SUCCEEDED, None), row
        found[row.task_id].append(instant(row.scheduled_time))
    assert found == {
        task.id: fires(task.schedule, registered_at[task.id], changes_at + AFTER) for task in tasks
    }
    runs = Counter(
        (run.task_id, run.scheduled_at) for run in read_run_logs(cluster.run_logs) if run.namespace == night
    )
    assert runs == Counter((row.task_id, instant(row.scheduled_time)) for row in rows), "each ran once"
    late_s = [late(row, killed_at, back_at).total_seconds() for row in rows]
    print(
        f"{night}: {len(rows)} rows; nodes back {(back_at - changes_at).total_seconds():+.1f} s from the change; "
        f"latest pick-up {max(late_s):.2f} s after due time and return"
    )
    assert max(late_s) <= PICKED_UP_WITHIN_S
    return found


def late(row: Execution, killed_at: datetime, back_at: datetime) -> timedelta:
    """From the due time, or from the nodes' return for what was due, or under way, while they were down."""
    assert row.due_time is not None
    assert row.pick_up_time is not None
    was_down = killed_at - timedelta(seconds=1) < row.due_time < back_at
    return row.pick_up_time - (back_at if was_down else row.due_time)


def tasks_of(night: str, now: datetime, ends_at: datetime) -> list[task_pb2.Task]:
    """A task for each schedule. What fires before `ends_at` ends then; the others must not fire at all."""
    tasks = []
    for name, schedule in schedules().items():
        if fires(schedule, now, ends_at):
            schedule.end_time.FromDatetime(ends_at)
        tasks.append(
            task_pb2.Task(
                namespace=night,
                id=name,
                handler="noop",
                schedule=schedule,
                overlap=policy_pb2.OVERLAP_POLICY_ALLOW,  # what was open when the nodes died skips nothing
            )
        )
    return tasks


def register(cluster: NightCluster, tasks: list[task_pb2.Task]) -> dict[str, datetime]:
    """Returns since when each of them fires."""
    with grpc.insecure_channel(cluster.addresses[0]) as channel:
        answer = task_service_pb2_grpc.TaskServiceStub(channel).BatchCreateTasks(
            task_service_pb2.BatchCreateTasksRequest(tasks=tasks), timeout=10
        )
    assert [result.error.message for result in answer.results if result.HasField("error")] == []
    return {result.task.id: moment(result.task.create_time.ToMicroseconds()) for result in answer.results}


def fires(schedule: pb.Schedule, registered_at: datetime, until_at: datetime) -> list[int]:
    checked = checked_schedule(schedule, now=instant(registered_at), task_key=None).schedule
    limit = checked.max_executions or 10_000
    return list(fires_between(checked, instant(registered_at), instant(until_at) - 1, limit))


async def until_ready(cluster: NightCluster) -> None:
    async with MainspringClient(cluster.addresses) as client, asyncio.timeout(20):
        while True:
            known = await client.list_nodes()
            held = [node.partition_count for node in known.nodes if node.is_ready]
            if sorted(held) == [PARTITIONS // NODES] * NODES and len(known.executors) == EXECUTORS:
                return
            await asyncio.sleep(0.1)


async def final_rows(cluster: NightCluster, night: str, ending: set[str]) -> list[Execution]:
    """The night's ledger, oldest first, once nothing of it is open and the tasks that end have ended."""
    async with MainspringClient(cluster.addresses) as client, asyncio.timeout(30):
        while True:
            tasks = [task async for task in client.list_tasks(namespace=night)]
            rows = [row async for row in client.list_executions(namespace=night, page_size=1_000)]
            ended = {task.task_id for task in tasks if task.state is TaskState.COMPLETED}
            if ended == ending and all(row.finish_time is not None for row in rows):
                return sorted(rows, key=lambda row: row.scheduled_time)
            await asyncio.sleep(0.2)


def sleep_until(cluster: NightCluster, at: datetime) -> None:
    time.sleep(max(0.0, (at - cluster.now()).total_seconds()))
