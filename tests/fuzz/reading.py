"""Calls that read: single executions, what becomes of them, figures, previews."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fuzz.caller import Code
from fuzz.definitions import NAMESPACES, OFFERED, placed_schedule, schedules
from fuzz.ledger import SKIPPED, SUCCEEDED, is_final
from fuzz.messages import DAY, HOUR, SECOND, stamp
from fuzz.model import CANCELLED, PAUSED, Known
from fuzz.running import Running
from fuzz.world import tasks
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from mainspring.v1 import execution_pb2, execution_service_pb2, schedule_pb2, task_service_pb2

LOOKED_AT: Final = 3
"""Executions of one ledger that are read one by one."""
NOT_RUN: Final = (SKIPPED, execution_pb2.EXECUTION_STATE_EXPIRED)
COUNTED: Final = (execution_pb2.EXECUTION_ORIGIN_SCHEDULE, execution_pb2.EXECUTION_ORIGIN_TRIGGER)


def span(row: execution_pb2.Execution) -> tuple[int, int]:
    """The first and the last scheduled time that a row stands for."""
    first = row.scheduled_time.ToMicroseconds()
    return first, row.gap.last_scheduled_time.ToMicroseconds() if row.HasField("gap") else first


class Reading(Running):
    """Everything that the ledger answers."""

    @rule(name=tasks, skipped=st.integers(0, 20), page_size=st.sampled_from((1, 3, 1_000)))
    def look(self, name: tuple[str, str], skipped: int, page_size: int) -> None:
        """ListExecutions, GetExecution and ExplainExecution of what there is."""
        known = self.find(name)
        if known is None:
            return
        rows = self.check_ledger(known, page_size if known.task.execution_count < 100 else 1_000)
        for row in rows[skipped % max(1, len(rows)) :][:LOOKED_AT]:
            request = execution_service_pb2.GetExecutionRequest(
                namespace=name[0], task_id=name[1], scheduled_time=row.scheduled_time
            )
            got = self.call("GetExecution", request).execution
            self._check_result(known, got)
            got.result = b""
            self.same(got, row, "GetExecution")
            for at in sorted(set(span(row))):
                self._explain(name, at, rows)
        if rows:
            latest = execution_service_pb2.GetExecutionRequest(namespace=name[0], task_id=name[1])
            got = self.call("GetExecution", latest).execution
            self.check(got.scheduled_time == rows[-1].scheduled_time, "another is the latest")
            self._check_filter(name, rows, rows[skipped % len(rows)])

    def _check_result(self, known: Known, row: execution_pb2.Execution) -> None:
        """What echoes has echoed the payload of the definition that ran."""
        if row.state != SUCCEEDED or known.versions[row.task_version].handler != "echo":
            return
        at = row.scheduled_time.ToMicroseconds()
        payload = known.versions[row.task_version].payload
        extra = known.extra.get(at)
        while extra is not None:
            payload = extra.payload if extra.payload is not None else payload
            extra = known.extra.get(extra.is_like) if extra.is_like is not None else None
        adjustment = known.adjusted.get(at)
        if adjustment is not None and adjustment.payload is not None:
            payload = adjustment.payload
        self.check(row.result == payload, f"{row.result[:99]!r} is echoed instead of {payload[:99]!r}")

    @rule(name=tasks, distance=st.sampled_from((12_345, -DAY, HOUR, -1, 20_000 * DAY)))
    def look_beside(self, name: tuple[str, str], distance: int) -> None:
        """GetExecution and ExplainExecution of an instant that hardly is a scheduled time."""
        known = self.find(name)
        at = self.now + distance
        get = execution_service_pb2.GetExecutionRequest(
            namespace=name[0], task_id=name[1], scheduled_time=stamp(at)
        )
        if known is None:
            self.refused("GetExecution", get, Code.NOT_FOUND)
            return
        rows = self.rows(known)
        self._explain(name, at, rows)
        if all(at != row.scheduled_time.ToMicroseconds() for row in rows):
            self.refused("GetExecution", get, Code.NOT_FOUND)

    def _explain(self, name: tuple[str, str], at: int, rows: Sequence[execution_pb2.Execution]) -> None:
        """ExplainExecution of one scheduled time, also of one within a gap row."""
        request = execution_service_pb2.ExplainExecutionRequest(
            namespace=name[0], task_id=name[1], scheduled_time=stamp(at)
        )
        answer = self.call("ExplainExecution", request)
        self.check(bool(answer.summary), "no summary")
        row = next((row for row in rows if row.scheduled_time.ToMicroseconds() == at), None)
        is_within = any(first <= at <= last for first, last in map(span, rows))
        if row is not None or not is_within:
            self.check(answer.HasField("execution") == (row is not None), "an execution where there is none")
        if row is not None and not row.HasField("gap"):
            answer.execution.result = b""
            self.same(answer.execution, row, "ExplainExecution")

    def _check_filter(
        self, name: tuple[str, str], rows: Sequence[execution_pb2.Execution], like: execution_pb2.Execution
    ) -> None:
        """ListExecutions of one state, from a time on."""
        request = execution_service_pb2.ListExecutionsRequest(
            namespace=name[0],
            task_id=name[1],
            states=[like.state],
            start_time=like.scheduled_time,
            page_size=1_000,
        )
        begin = like.scheduled_time.ToMicroseconds()
        wanted = [row for row in rows if row.state == like.state and span(row)[0] >= begin]
        listed = sorted(self.executions(request), key=span)
        self.check(listed == wanted, "ListExecutions with a filter")

    @rule(
        namespace=st.sampled_from(NAMESPACES),
        handler=st.sampled_from(("", *OFFERED)),
        back=st.sampled_from((100 * DAY, HOUR, 10 * SECOND)),
    )
    def look_at_all(self, namespace: str, handler: str, back: int) -> None:
        """ListExecutions and GetSlo of a whole namespace."""
        space, begin = namespace or "default", self.now - back
        ledgers = [
            (known, [row for row in self.rows(known) if begin <= span(row)[0] < self.now])
            for known in self.known.values()
            if known.name[0] == space
        ]
        bounds = {"namespace": namespace, "start_time": stamp(begin), "end_time": stamp(self.now)}
        request = execution_service_pb2.ListExecutionsRequest(handler=handler, page_size=1_000, **bounds)  # type: ignore[arg-type]
        listed = sorted((row.task_id, *span(row)) for row in self.executions(request))
        wanted = sorted(
            (row.task_id, *span(row))
            for known, rows in ledgers
            if not handler or known.task.handler == handler
            for row in rows
        )
        self.check(listed == wanted, f"{len(listed)} executions of all tasks instead of {len(wanted)}")
        slo = self.call("GetSlo", execution_service_pb2.GetSloRequest(**bounds))  # type: ignore[arg-type]
        rows = [row for _, rows in ledgers for row in rows]
        started = [
            row
            for row in rows
            if row.origin in COUNTED
            and row.state not in NOT_RUN
            and row.HasField("pick_up_time")
            and row.failure_count <= (row.state == execution_pb2.EXECUTION_STATE_FAILED)
        ]
        not_run = sum(max(1, row.gap.count) for row in rows if row.state in NOT_RUN)
        self.check(
            (slo.total.count, slo.not_run_count) == (len(started), not_run),
            f"figures of {slo.total.count} and {slo.not_run_count} instead of {len(started)} and {not_run}",
        )
        self.check(sum(of.figures.count for of in slo.by_cause) == len(started), "figures by cause")
        self.check(slo.partitions_looked_at == slo.partition_count, "not all partitions")

    @precondition(lambda self: bool(self.known))
    @rule(name=tasks)
    def watch(self, name: tuple[str, str]) -> None:
        """WatchExecutions: what is triggered while nobody listens is told to whoever takes the stream up."""
        known = self.find(name)
        request = execution_service_pb2.WatchExecutionsRequest(namespace=name[0], task_id=name[1])
        if known is None:
            self.refused("WatchExecutions", request, Code.NOT_FOUND)
            return
        first = self.call("WatchExecutions", request)
        self.check(not first.executions and bool(first.resume_token), "the first answer is more than a token")
        if known.task.state in (PAUSED, CANCELLED):
            return
        self.trigger(name, None, False)
        at = max(known.extra)
        request.resume_token = first.resume_token
        told = self.call("WatchExecutions", request).executions
        rows = {span(row)[0]: row for row in self.rows(known)}
        self.check(any(span(row)[0] == at for row in told), "what was triggered is not told")
        for row in told:
            self.check(span(row)[0] in rows, f"what never was is told: {row}")
            if is_final(row):
                self.same(row, rows[span(row)[0]], "WatchExecutions")

    @rule(given=schedules(), count=st.sampled_from((0, 1, 30)))
    def preview(self, given: schedule_pb2.Schedule, count: int) -> None:
        """PreviewSchedule: what CreateTask would say."""
        schedule = placed_schedule(given, self.now)
        request = task_service_pb2.PreviewScheduleRequest(schedule=schedule, id="p", count=count)
        answer = self.call("PreviewSchedule", request)
        times = [fire.scheduled_time.ToMicroseconds() for fire in answer.fires]
        self.check(bool(times) and times == sorted(set(times)) and bool(answer.meaning), "the fires")
        self.check(len(times) == (count or 10) or answer.is_complete, "as many as asked for")
        request.schedule.CopyFrom(answer.schedule)
        again = self.call("PreviewSchedule", request)
        self.same(again, answer, "the preview of what a preview answers")
