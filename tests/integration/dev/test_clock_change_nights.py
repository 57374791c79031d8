"""Nights in which a zone changes its clocks, with and without restarts: the ledger is the same, and that of the schedules.

`mainspring dev` with a file and a virtual clock goes through each night twice over the same tasks. One process sees all of
it; the other is killed (SIGKILL: node, executor and database at once) and started again before the change, at it, in the
gap or between and within the two passes of the repeat, and after it; while time stands, and while it moves.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from integration.dev.conftest import Dev

from mainspring.client import MainspringClient
from mainspring.client.dev import DevClient
from mainspring.server.core.next_fire import fires_between
from mainspring.server.core.schedule import OneTime
from mainspring.server.rpc.schedule_requests import checked_schedule
from mainspring.testing.history import LedgerRow
from mainspring.testing.ledger import instant, read_ledger
from mainspring.v1 import schedule_pb2 as pb
from mainspring.v1 import task_pb2, task_service_pb2, task_service_pb2_grpc

NAMESPACE = "night"
BEFORE, AFTER = timedelta(hours=2, minutes=5), timedelta(hours=2, minutes=35)
MILLISECOND = timedelta(milliseconds=1)
POLICIES = [
    {"gap_policy": gap, "repeat_policy": repeat}
    for gap, repeat in (
        (pb.GAP_POLICY_FIRE_AFTER, pb.REPEAT_POLICY_FIRST),
        (pb.GAP_POLICY_FIRE_AFTER, pb.REPEAT_POLICY_LAST),
        (pb.GAP_POLICY_FIRE_AFTER, pb.REPEAT_POLICY_BOTH),
        (pb.GAP_POLICY_SKIP, pb.REPEAT_POLICY_FIRST),
        (pb.GAP_POLICY_SKIP, pb.REPEAT_POLICY_BOTH),
    )
]
SLEEP_S = 200
"""Slept twice when a kill interrupts it, it still ends before the next one begins."""

MOST = 22
"""Scheduled times of a task that ends by their count: behind the gap, or in the second pass of the repeat or behind it."""

Outcome = tuple[str, int, int, str, int | None, int]
"""Of a row: task, scheduled and due time, state, and what a gap says. Nothing of attempts, epochs and nodes."""


@dataclass(frozen=True)
class Night:
    """A zone and the instant at which it changes its clocks."""

    zone: str
    changes_at: datetime

    @property
    def walls(self) -> tuple[datetime, datetime]:
        """The first wall time of the gap or the repeat, and the first after it."""
        old, new = (
            (self.changes_at + step).astimezone(ZoneInfo(self.zone)).utcoffset() or timedelta(0)
            for step in (-MILLISECOND, timedelta(0))
        )
        before, after = (self.changes_at.replace(tzinfo=None) + offset for offset in (old, new))
        assert before != after
        return min(before, after), max(before, after)

    @property
    def length(self) -> timedelta:
        first, end = self.walls
        return end - first

    @property
    def is_gap(self) -> bool:
        """Whether wall times are left out."""
        return self.changes_at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None) == self.walls[1]

    def tasks(self) -> Iterator[task_pb2.Task]:
        """Tasks of every kind about the change."""
        first, end = self.walls
        last = first.minute + self.length // timedelta(minutes=1)
        minutes = ",".join(map(str, range(first.minute, last, 10)))
        tenth, seventh = first + timedelta(minutes=10), end + timedelta(minutes=7)
        inside, behind = f"{minutes} {first.hour} * * *", f"{seventh.minute} {seventh.hour} * * *"
        hours = ",".join(str((first.hour + step) % 24) for step in (-1, 0, 1))

        def task(
            name: str, schedule: pb.Schedule, handler: str = "noop", payload: bytes = b""
        ) -> task_pb2.Task:
            task_id = f"{self.zone}/{name}"
            return task_pb2.Task(
                namespace=NAMESPACE, id=task_id, handler=handler, schedule=schedule, payload=payload
            )

        for policies in POLICIES:
            named = policy_name(policies)
            yield task(f"fixed-{named}", cron(self.zone, inside, behind, **policies))
            yield task(f"seconds-{named}", cron(self.zone, f"15,45 {inside}", f"0 {behind}", **policies))
            yield task(f"mixed-{named}", cron(self.zone, "5-59/15 * * * *", inside, **policies))
            yield task(
                f"calendar-{named}",
                pb.Schedule(
                    calendar_interval=pb.CalendarIntervalSchedule(
                        unit=pb.CALENDAR_UNIT_WEEK,
                        weekdays=[pb.WEEKDAY_SATURDAY, pb.WEEKDAY_SUNDAY],
                        times=[f"{at:%H:%M:%S}" for at in (first, tenth, seventh)],
                        time_zone=self.zone,
                        **policies,
                    )
                ),
            )
            excluded = cron(self.zone, f"2-59/5 {hours} * * *", **policies)
            excluded.exclusions.expressions.append(f"{tenth.minute + 2} {tenth.hour} * * *")
            yield task(f"excluded-{named}", excluded)
        yield task("wild", cron(self.zone, "*/5 * * * *"))
        yield task("wild-seconds", cron(self.zone, "30 */4 * * * *"))
        yield task("fails", cron(self.zone, "*/15 * * * *"), "fail")
        yield task("sleeps", cron(self.zone, "*/10 * * * *"), "sleep", str(SLEEP_S).encode())
        dated = cron(self.zone, f"*/10 {hours} * * *")
        dated.exclusions.dates.append(f"{first:%Y-%m-%d}")
        yield task("excluded-date", dated)
        interval = pb.Schedule(interval=pb.IntervalSchedule(every=Duration(seconds=420)))
        yield task("interval", interval)
        interval = pb.Schedule(interval=pb.IntervalSchedule(every=Duration(seconds=600), phase=Duration()))
        interval.exclusions.MergeFrom(
            pb.Exclusions(expressions=[f"* {first.hour} * * *"], time_zone=self.zone)
        )
        yield task("interval-excluded", interval)
        bounded = cron(self.zone, "*/5 * * * *")
        bounded.start_time.FromDatetime(self.changes_at - timedelta(minutes=5))
        bounded.end_time.FromDatetime(self.changes_at + timedelta(minutes=5))
        yield task("bounded", bounded)
        counted = cron(self.zone, inside, "5-59/10 * * * *", repeat_policy=pb.REPEAT_POLICY_BOTH)
        counted.max_executions = MOST
        yield task("counted", counted)
        spread = cron(self.zone, "*/5 * * * *", inside, gap_policy=pb.GAP_POLICY_SKIP)
        spread.jitter.FromSeconds(240)
        spread.end_time.FromDatetime(self.changes_at + AFTER - timedelta(minutes=5))  # the last due, too
        yield task("spread", spread)
        for minutes_after in (-30, 0, 30):
            at = Timestamp()
            at.FromDatetime(self.changes_at + timedelta(minutes=minutes_after))
            yield task(f"once{minutes_after:+}", pb.Schedule(at=at))


BERLIN_SPRING = Night("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC))
NUUK_SPRING = Night("America/Nuuk", datetime(2026, 3, 29, 1, tzinfo=UTC))
"""The gap is the last hour of a Saturday: what fires after it fires on Sunday."""
BERLIN_AUTUMN = Night("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC))
LORD_HOWE_SPRING = Night("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC))
LORD_HOWE_AUTUMN = Night("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC))


def policy_name(policies: dict[str, int]) -> str:
    """Such as "fire_after-both"."""
    gap = pb.GapPolicy.Name(policies["gap_policy"])  # type: ignore[arg-type]
    repeat = pb.RepeatPolicy.Name(policies["repeat_policy"])  # type: ignore[arg-type]
    return f"{gap.removeprefix('GAP_POLICY_')}-{repeat.removeprefix('REPEAT_POLICY_')}".lower()


def cron(zone: str, *expressions: str, **policies: int) -> pb.Schedule:
    return pb.Schedule(cron=pb.CronSchedule(expressions=expressions, time_zone=zone, **policies))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Kill:
    """Of the process, at an instant; or at some time after it, while time moves on to a later one."""

    at: datetime
    moving_to: datetime | None = None


def kills_of(night: Night) -> list[Kill]:
    """Before the change, at it, within what it leaves out or repeats, and after it."""
    c, length = night.changes_at, night.length
    instants = [c - timedelta(minutes=90), c - MILLISECOND, c, c + length / 2, c + length]
    if not night.is_gap:
        instants.append(c - length / 2)  # in the first pass
    moves = [(c - timedelta(minutes=80), c - timedelta(minutes=40)), (c + length, c + AFTER)]
    return sorted([*map(Kill, instants), *(Kill(*move) for move in moves)], key=lambda kill: kill.at)


async def go_through(
    nights: Sequence[Night], folder: Path, *, kills: Sequence[Kill] = ()
) -> tuple[list[LedgerRow], dict[str, list[int]]]:
    """The ledger after a night (several: of one instant), and each task's fires as `fires_between` says."""
    (changes_at,) = {night.changes_at for night in nights}
    starts_at, ends_at = changes_at - BEFORE, changes_at + AFTER
    dev, tasks = Dev(folder), [task for night in nights for task in night.tasks()]
    options = ("--virtual-clock", "--file", folder / "night.db")
    await asyncio.to_thread(dev.start, *options, "--start-time", starts_at.isoformat())
    try:
        async with grpc.aio.insecure_channel(dev.address) as channel:
            stub = task_service_pb2_grpc.TaskServiceStub(channel)
            answer = await stub.BatchCreateTasks(task_service_pb2.BatchCreateTasksRequest(tasks=tasks))
            assert [result.error.message for result in answer.results if result.HasField("error")] == []
        async with DevClient(dev.address) as clock, MainspringClient(dev.address) as client:
            for kill in kills:
                await clock.advance(kill.at)
                # Repeated by the client until it is answered, by the next process then.
                moving = asyncio.create_task(clock.advance(kill.moving_to or kill.at))
                while kill.moving_to is not None and await clock.now() == kill.at:
                    pass
                dev.running.kill()
                await asyncio.to_thread(dev.start, *options)
                await moving
            await clock.advance(ends_at)
            ledger = await read_ledger(client, [NAMESPACE])
    finally:
        dev.running.kill()
    return list(ledger), {task.id: fires(task, starts_at, ends_at) for task in tasks}


def fires(task: task_pb2.Task, registered: datetime, until: datetime) -> list[int]:
    schedule = checked_schedule(task.schedule, now=instant(registered), task_key=None).schedule
    if isinstance(schedule.timing, OneTime):
        return [schedule.timing.at]
    limit = schedule.max_executions or 10_000
    return list(fires_between(schedule, instant(registered), instant(until), limit))


def outcome(row: LedgerRow) -> Outcome:
    return row.task_id, row.scheduled_at, row.due_at, row.state, row.gap_until, row.gap_count


async def check(nights: Sequence[Night], kills: Sequence[Kill], folders: Sequence[Path]) -> None:
    """Two processes, one of which is killed; their ledgers against each other and against the schedules."""
    (calm, wanted), (restarted, _) = await asyncio.gather(
        go_through(nights, folders[0]), go_through(nights, folders[1], kills=kills)
    )
    assert sorted(map(outcome, restarted)) == sorted(map(outcome, calm))
    found: dict[str, list[int]] = {task_id: [] for task_id in wanted}
    for row in sorted(calm, key=outcome):
        found[row.task_id].append(row.scheduled_at)
        state = "FAILED" if row.task_id.endswith("/fails") else "SUCCEEDED"
        assert outcome(row)[3:] == (state, None, 0), row
        assert (row.due_at > row.scheduled_at) == row.task_id.endswith("/spread"), row
    assert found == wanted
    for night in nights:
        check_policies(night, found)
    again = [row.task_id for row in restarted if row.attempt > 1]
    assert again, "no kill met anything that ran"
    assert not [row for row in calm if row.attempt > 1]
    print(f"{len(calm)} rows of {len(wanted)} tasks; {len(kills)} kills, {len(again)} ran again")


def check_policies(night: Night, fires: dict[str, list[int]]) -> None:
    """What the policies mean, by hand; and that the count has ended its task."""
    assert len(fires[f"{night.zone}/counted"]) == MOST
    change = instant(night.changes_at)
    for kind in ("fixed", "seconds", "mixed", "calendar", "excluded"):
        times = {named: set(fires[f"{night.zone}/{kind}-{named}"]) for named in map(policy_name, POLICIES)}
        first, last, both = (times[f"fire_after-{repeat}"] for repeat in ("first", "last", "both"))
        if night.is_gap:
            assert first == last == both
            assert change in first
            assert times["skip-first"] == times["skip-both"] == first - {change}
        else:
            assert times["skip-first"] == first
            assert times["skip-both"] == both == first | last
            assert len(first) == len(last) < len(both)
            assert max(first - last) < change <= min(last - first)


def unmarked_kills(night: Night) -> list[Kill]:
    """Some of `kills_of`."""
    before = night.changes_at - timedelta(minutes=70)
    return [Kill(before, night.changes_at - timedelta(minutes=1)), Kill(night.changes_at)]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "calm", tmp_path / "restarted"]
    for folder in made:
        folder.mkdir()
    return made


@pytest.mark.parametrize(
    "nights",
    [
        pytest.param([BERLIN_SPRING, NUUK_SPRING], id="Berlin and Nuuk, spring"),
        pytest.param([BERLIN_AUTUMN], id="Berlin, autumn"),
    ],
)
async def test_a_restart_before_the_change_and_one_at_it(nights: list[Night], folders: list[Path]) -> None:
    await check(nights, unmarked_kills(nights[0]), folders)


@pytest.mark.slow
@pytest.mark.parametrize(
    "nights",
    [
        pytest.param([BERLIN_SPRING, NUUK_SPRING], id="Berlin and Nuuk, spring"),
        pytest.param([BERLIN_AUTUMN], id="Berlin, autumn"),
        pytest.param([LORD_HOWE_SPRING], id="Lord Howe, spring"),
        pytest.param([LORD_HOWE_AUTUMN], id="Lord Howe, autumn"),
    ],
)
async def test_restarts_all_over_the_night(nights: list[Night], folders: list[Path]) -> None:
    await check(nights, kills_of(nights[0]), folders)
