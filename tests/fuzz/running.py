"""Time passes, and calls that run, end or move single executions."""

from __future__ import annotations

from typing import Final

from fuzz.caller import Code
from fuzz.creating import Creating
from fuzz.definitions import PAYLOADS
from fuzz.ledger import DID_NOT_RUN, DISPATCHED, EXPIRED, FAILED, LOST, RUNNING, is_final
from fuzz.messages import DAY, HOUR, MINUTE, SECOND, length, stamp
from fuzz.model import ACTIVE, CANCELLED, PAUSED, Adjustment, Extra, Known
from fuzz.world import LONGEST, tasks
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from mainspring.server.core.next_fire import fires_between, next_fire
from mainspring.v1 import execution_pb2, execution_service_pb2, task_pb2, task_service_pb2

STEPS: Final = (
    SECOND, 1_000, 5 * SECOND, 29 * SECOND, 31 * SECOND, 5 * MINUTE, HOUR, DAY, 3 * DAY,
)  # fmt: skip
MOST_RUNS: Final = 60
"""So many executions one move of the clock leads to at most."""
MOST_RESTARTS: Final = 1
"""Of one example: they take longer than all else."""
ASLEEP: Final = b"4000"
"""A payload with which a handler sleeps longer than all below."""
LEASE: Final = 10 * SECOND
"""After so long an executor that is gone is given up."""
MOST_BACKFILLED: Final = 20
LATER: Final = st.integers(0, 3)
"""How many executions from the latest on, or times from the next on."""


class Running(Creating):
    """AdvanceTime, TriggerTask, BackfillTask, CancelExecution, RetryExecution and AdjustExecution."""

    def __init__(self) -> None:
        super().__init__()
        self.restarts = 0

    @rule(by=st.sampled_from(STEPS))
    def advance(self, by: int) -> None:
        """Time passes. The name has it come first of all rules, which are the simplest to choose."""
        self._pass(by)

    @rule(name=tasks, beyond=st.sampled_from((0, 1_000, 5 * SECOND, 31 * SECOND)))
    def advance_until_due(self, name: tuple[str, str], beyond: int) -> None:
        """Time passes until a task is due, or a little longer."""
        known = self.find(name)
        if known is not None and known.task.state == ACTIVE and known.due >= self.now:
            self._pass((known.due - self.now + beyond) // 1_000 * 1_000)

    def _pass(self, by: int) -> None:
        if self.now + by - self.began > LONGEST:
            return
        while self._runs_until(self.now + by) > MOST_RUNS:
            by = by // 4 // 1_000 * 1_000
        self.move(by)
        for known in self.known.values():
            self.recheck(known)
            self.check_ledger(known)

    @precondition(lambda self: self.restarts < MOST_RESTARTS)
    @rule(down=st.sampled_from((10 * SECOND, 0, 2 * SECOND, 20 * SECOND, 31 * SECOND, HOUR)))
    def restart(self, down: int) -> None:
        """The node and its executor stop, and others come: nothing is lost but what may be."""
        if self._runs_until(self.now + down) > MOST_RUNS:
            return
        self.restarts += 1
        self.pool.restart(self.node, down)
        self.caller.redial(self.node.address)
        self.now += down
        for known in list(self.known.values()):
            self.check_after(known)

    @precondition(lambda self: self.restarts < MOST_RESTARTS)
    @rule(
        target=tasks,
        delivery=st.sampled_from((task_pb2.DELIVERY_MODE_AT_MOST_ONCE, task_pb2.DELIVERY_MODE_AT_LEAST_ONCE)),
    )
    def restart_meanwhile(self, delivery: task_pb2.DeliveryMode) -> tuple[str, str]:
        """The executor goes while it runs something: that runs again, or is lost if it may not run twice."""
        given = task_pb2.Task(handler="sleep", payload=ASLEEP, delivery=delivery)
        given.schedule.delay.CopyFrom(length(0))
        name = self.register("", "asleep ", given)
        known = self.known[name]
        (before,) = self.rows(known)
        self.check(before.state in (DISPATCHED, RUNNING), f"it does not run: {before}")
        self.restart(SECOND)
        self._pass(LEASE)
        (row,) = self.rows(known)
        is_lost = delivery == task_pb2.DELIVERY_MODE_AT_MOST_ONCE
        is_so = row.state == LOST if is_lost else row.attempt == 2
        self.check(is_so, f"what an executor took with it is {row}")
        return name

    def _runs_until(self, at: int) -> int:
        return sum(len(known.due_times(at, MOST_RUNS + 1)) for known in self.known.values())

    @rule(name=tasks, payload=st.sampled_from((None, *PAYLOADS)), is_repeated=st.booleans())
    def trigger(self, name: tuple[str, str], payload: bytes | None, is_repeated: bool) -> None:
        """TriggerTask, at times twice with one request id."""
        request = task_service_pb2.TriggerTaskRequest(namespace=name[0], id=name[1], payload=payload)
        known = self.find(name)
        if not self._may_run("TriggerTask", request, known):
            return
        assert known is not None
        if is_repeated:
            self.named += 1
            request.request_id = f"trigger {self.named}"
        answer = self.call("TriggerTask", request)
        self._learn_extra(known, answer.execution, payload)
        if is_repeated:
            again = self.call("TriggerTask", request)
            is_same = again.execution.scheduled_time == answer.execution.scheduled_time
            self.check(is_same, "the same request id triggers again")
        self.check_after(known)

    def _may_run(
        self, method: str, request: task_service_pb2.TriggerTaskRequest, known: Known | None
    ) -> bool:
        """Whether a task may be run beside its schedule; else that is refused, and has been."""
        if known is None:
            self.refused(method, request, Code.NOT_FOUND)
            return False
        if known.task.state in (PAUSED, CANCELLED):
            self.refused(method, request, Code.FAILED_PRECONDITION)
            self.check_after(known)
            return False
        return True

    def _learn_extra(
        self,
        known: Known,
        row: execution_pb2.Execution,
        payload: bytes | None = None,
        is_like: int | None = None,
    ) -> None:
        """An execution that a call added: now, or right behind where that is taken."""
        at = row.scheduled_time.ToMicroseconds()
        self.check(self.now <= at < self.now + 1_000, f"it is triggered for {at} at {self.now}")
        is_new = at not in known.extra and not any(at in taken.times for taken in known.taken)
        origin = execution_pb2.EXECUTION_ORIGIN_TRIGGER
        self.check(is_new and row.origin == origin, f"what was triggered is not new: {row}")
        known.extra[at] = Extra(origin, payload, is_like)

    @rule(name=tasks, back=st.sampled_from((MINUTE, 10 * MINUTE, HOUR)))
    def backfill(self, name: tuple[str, str], back: int) -> None:
        """BackfillTask of the last hours: each time that did not run, once."""
        known = self.find(name)
        start = self.now - back
        request = task_service_pb2.BackfillTaskRequest(
            namespace=name[0], id=name[1], start_time=stamp(start), end_time=stamp(self.now)
        )
        if known is None:
            self.refused("BackfillTask", request, Code.NOT_FOUND)
            return
        if known.is_once:
            return
        times = list(fires_between(known.schedule, start - 1, self.now - 1, MOST_BACKFILLED + 1))
        if len(times) > MOST_BACKFILLED or known.task.state in (PAUSED, CANCELLED):
            return
        rows = {row.scheduled_time.ToMicroseconds(): row.state for row in self.rows(known)}
        ran = {at for at, state in rows.items() if state not in DID_NOT_RUN}
        wanted = [at for at in times if at not in ran and at + 1 not in rows]
        answer = self.call("BackfillTask", request)
        self.check(answer.count == len(wanted), f"{answer.count} are backfilled instead of {len(wanted)}")
        self.check(not answer.HasField("next_start_time"), "there is more to backfill")
        origin = execution_pb2.EXECUTION_ORIGIN_BACKFILL
        known.extra.update({at + 1: Extra(origin) for at in wanted})
        again = self.call("BackfillTask", request)
        self.check(again.count == 0, "the same is backfilled twice")
        self.check_after(known)

    def _execution(self, known: Known, later: int) -> execution_pb2.Execution | None:
        """One of its latest executions."""
        rows = self.rows(known)
        return rows[-1 - later % len(rows)] if rows else None

    @rule(name=tasks, later=LATER)
    def cancel_execution(self, name: tuple[str, str], later: int) -> None:
        """CancelExecution in any state."""
        known = self.find(name)
        row = None if known is None else self._execution(known, later)
        if known is None or row is None:
            return
        request = execution_service_pb2.CancelExecutionRequest(
            namespace=name[0], task_id=name[1], scheduled_time=row.scheduled_time, note="enough"
        )
        answer = self.call("CancelExecution", request)
        if is_final(row):
            answer.execution.result = b""
            self.same(answer.execution, row, "CancelExecution of what is final")
        self.check(answer.execution.scheduled_time == row.scheduled_time, "another is cancelled")
        self.check_after(known)
        if not is_final(row) and not self.restarts:  # an executor that is gone is given the time of its lease
            at = row.scheduled_time.ToMicroseconds()
            self.check(at in known.ended, f"what was cancelled has not ended: {row}")

    @rule(name=tasks, later=LATER, is_repeated=st.booleans())
    def retry_execution(self, name: tuple[str, str], later: int, is_repeated: bool) -> None:
        """RetryExecution in any state, at times twice with one request id."""
        known = self.find(name)
        row = None if known is None else self._execution(known, later)
        if known is None or row is None:
            return
        request = execution_service_pb2.RetryExecutionRequest(
            namespace=name[0], task_id=name[1], scheduled_time=row.scheduled_time
        )
        if is_repeated:
            self.named += 1
            request.request_id = f"retry {self.named}"
        if row.state not in (FAILED, EXPIRED, LOST) or known.task.state in (PAUSED, CANCELLED):
            self.refused("RetryExecution", request, Code.FAILED_PRECONDITION)
        else:
            added = self.call("RetryExecution", request)
            self._learn_extra(known, added.execution, is_like=row.scheduled_time.ToMicroseconds())
            if is_repeated:
                again = self.call("RetryExecution", request)
                is_same = again.execution.scheduled_time == added.execution.scheduled_time
                self.check(is_same, "the same request id runs it again once more")
        self.check_after(known)

    @rule(
        name=tasks,
        later=LATER,
        how=st.sampled_from(("skip", "due_time", "payload", "reset")),
        by=st.sampled_from((500_000, SECOND, MINUTE, HOUR)),
    )
    def adjust_execution(self, name: tuple[str, str], later: int, how: str, by: int) -> None:
        """AdjustExecution of a scheduled time that is still to come: what it says adds to what was said before."""
        known = self.find(name)
        if known is None or known.task.state != ACTIVE or known.schedule.jitter_us:
            return
        at = known.next_at
        for _ in range(later):
            at = next_fire(known.schedule, at) if at is not None else None
        if at is None:
            return
        request = execution_service_pb2.AdjustExecutionRequest(
            namespace=name[0], task_id=name[1], scheduled_time=stamp(at)
        )
        before = known.adjusted.get(at, Adjustment())
        if how == "due_time":
            adjustment = before._replace(is_skipped=False, due_at=at + by)
            request.due_time.CopyFrom(stamp(at + by))
        elif how == "payload":
            adjustment = before._replace(is_skipped=False, payload=b"2")
            request.payload = b"2"
        else:
            adjustment = Adjustment(is_skipped=how == "skip")
            setattr(request, how, True)
        following = next_fire(known.schedule, at)
        most = known.schedule.max_executions
        if most is not None and known.task.execution_count + later + 1 > most:
            self.refused("AdjustExecution", request, Code.FAILED_PRECONDITION)
        elif how == "due_time" and (
            at + by < self.now
            or (following is not None and at + by >= min(following, known.due_of(following)))
        ):
            if adjustment != before:
                self.refused("AdjustExecution", request, Code.INVALID_ARGUMENT, "due_time")
        else:
            self.call("AdjustExecution", request)
            known.adjusted[at] = adjustment
            if at == known.next_at:
                known.due = max(known.due_of(at), self.now)
        self.check_after(known)
