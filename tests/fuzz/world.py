"""What every rule stands on: a node for each example, the tasks as they are meant to be, and the comparison of the two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar, Final

from fuzz.caller import Caller, Code, Refused, Tally
from fuzz.ledger import Ledger
from fuzz.messages import DAY, length, stamp
from fuzz.model import ACTIVE, NO_DEFAULTS, Known, with_defaults
from fuzz.nodes import NodePool
from google.protobuf.message import Message
from hypothesis.stateful import Bundle, RuleBasedStateMachine

from mainspring.v1 import (
    dev_service_pb2,
    execution_pb2,
    execution_service_pb2,
    namespace_service_pb2,
    task_pb2,
    task_service_pb2,
)

tasks: Final[Bundle[tuple[str, str]]] = Bundle("tasks")
"""Names of tasks that were registered; some were deleted since."""
LONGEST: Final = 25 * DAY
"""So long an example goes on at most: before the retention removes what has ended."""
STALE_ETAGS: Final = ("v0", "é" * 50)


class World(RuleBasedStateMachine):
    """One node, one model; the rules are in the classes that are made of this one."""

    pool: ClassVar[NodePool]
    tally: ClassVar[Tally]

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()
        self.node = self._opened.enter_context(self.pool.node())
        self.caller = Caller(self.node.address, self.tally)
        self._opened.callback(self.caller.close)
        self.known: dict[tuple[str, str], Known] = {}
        self.spaces: dict[str, namespace_service_pb2.Namespace] = {}
        self.removed: list[tuple[str, str]] = []
        self.named = 0
        self.now = self.began = self.pool.start_at
        self.is_over = False
        """A difference was found, or all was compared."""

    def teardown(self) -> None:
        """Looks at every task and its ledger once more."""
        try:
            if not self.is_over:
                self.settle()
                for known in self.known.values():
                    self.recheck(known)
                    self.check_ledger(known)
                self.count()
        finally:
            self._opened.close()

    def count(self) -> None:
        """Adds this example to the tally."""
        self.tally.examples += 1
        for known in self.known.values():
            self.tally.tasks += 1
            self.tally.scheduled_times += sum(len(taken.times) for taken in known.taken) + len(known.extra)
            for row in known.ended.values():
                self.tally.states[execution_pb2.ExecutionState.Name(row.state)] += 1

    # --- calls ---------------------------------------------------------------------------------------------------

    def call(self, method: str, request: Message) -> Any:
        """A call that is right."""
        try:
            return self.caller.call(method, request)
        except Refused as refused:
            self.check(False, f"{method} is refused: {refused} {refused.fields}")

    def look_up(self, method: str, request: Message) -> Any:
        """A call that only compares."""
        try:
            return self.caller.call(method, request, is_look_up=True)
        except Refused as refused:
            self.check(False, f"{method} is refused: {refused}")

    def refused(self, method: str, request: Message, code: Code, *fields: str) -> None:
        """A call that is to be refused like that, naming one of these fields; others check that it changed nothing."""
        try:
            answer = self.caller.call(method, request)
        except Refused as refused:
            self.check_refusal(refused, code, *fields)
        else:
            self.check(False, f"answered instead of {code.name} {fields}: {str(answer)[:500]}")

    def check_refusal(self, refused: Refused, code: Code, *fields: str) -> None:
        """It is refused like that."""
        self.check(refused.code is code, f"{refused} instead of {code.name} {fields}")
        named = not fields or any(field in refused.fields for field in fields)
        self.check(named, f"{refused.fields} are named instead of {fields}: {refused}")

    def check(self, is_so: bool, message: str) -> None:
        """Raises Difference with the latest calls."""
        if not is_so:
            self.is_over = True
            raise self.caller.difference(message)

    def same(self, answer: Message, wanted: Message, what: str) -> None:
        """Compares two messages field by field."""
        if answer == wanted:
            return
        lines = []
        for field in wanted.DESCRIPTOR.fields:
            got, meant = getattr(answer, field.name), getattr(wanted, field.name)
            is_set = field.message_type and not field.is_repeated
            if got != meant or (is_set and answer.HasField(field.name) != wanted.HasField(field.name)):
                lines.append(f"{field.name}: answered {str(got)[:300]} instead of {str(meant)[:300]}")
        self.check(False, f"{what} differs: " + "; ".join(lines))

    def defaults_of(self, namespace: str) -> namespace_service_pb2.TaskDefaults:
        """What a namespace says of the tasks that are created in it now."""
        space = self.spaces.get(namespace or "default")
        return NO_DEFAULTS if space is None else space.task_defaults

    # --- one task ------------------------------------------------------------------------------------------------

    def find(self, name: tuple[str, str]) -> Known | None:
        """A task, unless it was deleted."""
        return self.known.get(name)

    def new_name(self, namespace: str, text: str, *, is_reused: bool = False) -> tuple[str, str]:
        """A name that no task has."""
        if is_reused and self.removed:
            return self.removed.pop()
        self.named += 1
        return namespace or "default", f"{text}{self.named}"

    def recheck(self, known: Known) -> None:
        """The task is as the model says."""
        namespace, task_id = known.name
        request = task_service_pb2.GetTaskRequest(namespace=namespace, id=task_id)
        self.same_task(self.look_up("GetTask", request).task, known, "GetTask")

    def check_gone(self, name: tuple[str, str]) -> None:
        """There is no such task."""
        request = task_service_pb2.GetTaskRequest(namespace=name[0], id=name[1])
        self.refused("GetTask", request, Code.NOT_FOUND)

    def same_task(
        self, answer: task_pb2.Task, known: Known, what: str, *, without_payload: bool = False
    ) -> None:
        """Compares an answered task with the model; learns the etag of a state that is new."""
        self.check(bool(answer.etag), "no etag")
        wanted = task_pb2.Task()
        wanted.CopyFrom(known.task)
        if not wanted.etag:
            self.check(answer.etag not in known.etags, f"the etag {answer.etag} is that of an earlier state")
            known.etags[answer.etag] = wanted.version
            known.task.etag = wanted.etag = answer.etag
        if known.task.state == ACTIVE and known.next_at is not None:
            wanted.next_due_time.CopyFrom(stamp(known.due))
        wanted.ClearField("last_scheduled_time")
        if answer.HasField("last_scheduled_time"):
            wanted.last_scheduled_time.CopyFrom(answer.last_scheduled_time)
        has_run = bool(known.task.execution_count or known.extra)
        self.check(answer.HasField("last_scheduled_time") == has_run, "last_scheduled_time")
        if without_payload:
            wanted.payload = b""
        self.same(answer, wanted, what)

    def learn(self, answer: task_pb2.Task, sent: task_pb2.Task) -> Known:
        """Compares a new task with what was asked for."""
        wanted = with_defaults(sent, self.defaults_of(sent.namespace))
        for name in ("state", "version", "etag"):
            wanted.ClearField(name)
        self.check_schedule(answer, sent)
        wanted.id = wanted.id or answer.id
        wanted.schedule.CopyFrom(answer.schedule)
        wanted.state, wanted.version, wanted.etag = ACTIVE, 1, answer.etag
        wanted.create_time.CopyFrom(stamp(self.now))
        wanted.update_time.CopyFrom(stamp(self.now))
        wanted.next_scheduled_time.CopyFrom(answer.next_scheduled_time)
        wanted.next_due_time.CopyFrom(answer.next_due_time)
        wanted.partition_id = answer.partition_id
        self.same(answer, wanted, "the new task")
        known = self.known[answer.namespace, answer.id] = Known.of(answer, sent, self.now)
        return known

    def check_schedule(self, answer: task_pb2.Task, sent: task_pb2.Task) -> None:
        """The schedule is what was asked for."""
        kind = sent.schedule.WhichOneof("kind")
        if kind == "delay":
            at = answer.schedule.at.ToMicroseconds()
            self.check(at == self.now + sent.schedule.delay.ToMicroseconds(), "the delay")
            return
        self.check(answer.schedule.WhichOneof("kind") == kind, "the kind of schedule")
        for descriptor, value in sent.schedule.ListFields():
            if descriptor.name not in ("cron", "interval", "calendar_interval", "exclusions"):
                self.check(getattr(answer.schedule, descriptor.name) == value, descriptor.name)

    def check_fires(self, known: Known, answer: Any) -> None:
        """The next times of a new schedule are those of a preview."""
        task = known.task
        self.check(bool(answer.meaning), "no meaning")
        first = answer.next_fires[0].scheduled_time.ToMicroseconds() if answer.next_fires else None
        self.check(first == known.next_at, f"the first of the next fires is {first} and not {known.next_at}")
        if known.is_once or task.execution_count or known.next_at is None or known.next_at <= self.now:
            return
        request = task_service_pb2.PreviewScheduleRequest(
            schedule=task.schedule, namespace=task.namespace, id=task.id, count=5
        )
        preview = self.look_up("PreviewSchedule", request)
        self.same(preview.schedule, task.schedule, "the schedule of the preview")
        self.check(list(preview.fires) == list(answer.next_fires), "the fires of the preview")
        self.check(preview.meaning == answer.meaning, "the meaning of the preview")

    # --- time and what it leads to -------------------------------------------------------------------------------

    def settle(self) -> None:
        """Lets what is due now run."""
        self.move(0)

    def move(self, by: int) -> None:
        """Moves the clock."""
        for known in self.known.values():
            known.settle(self.now, is_backlog=True)
        answer = self.look_up("AdvanceTime", dev_service_pb2.AdvanceTimeRequest(by=length(by)))
        self.now += by
        self.check(answer.time.ToMicroseconds() == self.now, f"the time is {answer.time}")
        for known in self.known.values():
            known.settle(self.now, is_backlog=False)

    def rows(self, known: Known, page_size: int = 1_000) -> list[execution_pb2.Execution]:
        """The ledger of a task, by scheduled time."""
        namespace, task_id = known.name
        request = execution_service_pb2.ListExecutionsRequest(
            namespace=namespace, task_id=task_id, page_size=page_size
        )
        return sorted(self.executions(request), key=lambda row: row.scheduled_time.ToMicroseconds())

    def executions(
        self, request: execution_service_pb2.ListExecutionsRequest
    ) -> Iterator[execution_pb2.Execution]:
        """All pages of a list; the request is used up."""
        while True:
            page = self.look_up("ListExecutions", request)
            yield from page.executions
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def check_ledger(self, known: Known, page_size: int = 1_000) -> list[execution_pb2.Execution]:
        """Compares the ledger of a task with the model, and answers it."""
        rows = self.rows(known, page_size)
        Ledger(known, rows, self.now, self.check).compare()
        return rows

    def check_after(self, known: Known) -> None:
        """What a call sets off is done; the task and its ledger are as the model says."""
        self.settle()
        self.recheck(known)
        self.check_ledger(known)
