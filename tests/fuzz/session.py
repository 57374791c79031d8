"""Random calls about tasks, each compared with the model: its status, its answer, and what it leaves behind."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
import grpc.aio
from fuzz.model import (
    ACTIVE,
    CANCELLED,
    COMPLETED,
    PAUSED,
    Known,
    Taken,
    default_overlap,
    readable,
    with_defaults,
)
from fuzz.wishes import (
    BAD_NAMES,
    DAY,
    FIELDS,
    FLAWS,
    HOUR,
    NAMESPACES,
    NOT_OFFERED,
    OFFERED,
    SECOND,
    Wish,
    length,
    stamp,
)
from google.protobuf import text_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mainspring.server.core.due_time import due_at
from mainspring.server.core.next_fire import fires_between
from mainspring.v1 import (
    dev_service_pb2,
    dev_service_pb2_grpc,
    execution_pb2,
    execution_service_pb2,
    execution_service_pb2_grpc,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)

Code = grpc.StatusCode
TIMEOUT_S = 60.0
MOST_RUNS = 60
"""So many executions one move of the clock leads to at most."""
DID_NOT_RUN = (
    execution_pb2.EXECUTION_STATE_SKIPPED,
    execution_pb2.EXECUTION_STATE_EXPIRED,
    execution_pb2.EXECUTION_STATE_CANCELLED,
)
LONGEST = 25 * DAY
"""So long a session goes on at most: before the retention removes what has ended."""


class Difference(AssertionError):
    """The node did something else than the model."""


class Refused(Exception):
    """A call that did not answer: its code, and the fields that the refusal names."""

    def __init__(self, code: grpc.StatusCode, message: str, fields: list[str], reason: str) -> None:
        super().__init__(f"{code.name} {message}")
        self.code, self.message, self.fields, self.reason = code, message, fields, reason


def refusal(error: grpc.aio.AioRpcError) -> Refused:
    """What a refusal says."""
    fields: list[str] = []
    reason = ""
    status = rpc_status.from_call(error)
    for packed in status.details if status is not None else ():
        bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
        if packed.Unpack(bad):
            fields += [violation.field for violation in bad.field_violations]
        elif packed.Unpack(info):
            reason = info.reason
    return Refused(error.code(), error.details() or "", fields, reason)


class Session:
    """One node, one model. Deterministic but for the random parts of what the node makes itself."""

    def __init__(self, channel: grpc.aio.Channel, seed: int) -> None:
        self.rng = random.Random(seed)
        self.wish = Wish(self.rng)
        self.tasks = task_service_pb2_grpc.TaskServiceStub(channel)
        self.executions = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        self.dev = dev_service_pb2_grpc.DevServiceStub(channel)
        self.known: dict[tuple[str, str], Known] = {}
        self.now = self.began = 0
        self.removed: list[tuple[str, str]] = []
        self.requests = 0
        self.tally: Counter[tuple[str, str]] = Counter()
        self.trace: list[str] = []

    # --- calls ---------------------------------------------------------------------------------------------------

    async def call(self, stub: Any, method: str, request: Message) -> Any:
        """Calls, and counts. Raises Refused; a refusal that helps nobody is a difference."""
        self.requests += 1
        self.trace.append(f"{method} {short(request)}")
        del self.trace[:-6]
        try:
            answer = await getattr(stub, method)(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            refused = refusal(error)
            self.tally[method, refused.code.name] += 1
            self.trace.append(f"-> {refused}")
            self.check(refused.code not in (Code.INTERNAL, Code.UNKNOWN), f"it broke: {refused}")
            self.check(bool(refused.message and refused.reason), f"no sentence or no reason: {refused}")
            if refused.code is Code.INVALID_ARGUMENT:
                self.check(bool(refused.fields) and all(refused.fields), f"no field: {refused}")
            raise refused from None
        self.tally[method, "OK"] += 1
        return answer

    async def refused(
        self, stub: Any, method: str, request: Message, code: grpc.StatusCode, field: str = ""
    ) -> None:
        """A call that is to be refused like that, and to change nothing."""
        try:
            answer = await self.call(stub, method, request)
        except Refused as refused:
            self.check(refused.code is code, f"{refused} instead of {code.name} {field}")
            self.check(not field or field in refused.fields, f"{refused.fields} instead of {field}")
        else:
            self.check(False, f"answered instead of {code.name} {field}: {str(answer)[:500]}")

    def check(self, is_so: bool, message: str) -> None:
        """Raises Difference with the latest calls."""
        if not is_so:
            raise Difference(message[:3000] + "\n\nThe latest calls:\n" + "\n".join(self.trace))

    def same(self, answer: Message, wanted: Message, what: str) -> None:
        """Compares two messages field by field."""
        if answer == wanted:
            return
        names = [
            f.name for f in wanted.DESCRIPTOR.fields if getattr(answer, f.name) != getattr(wanted, f.name)
        ]
        names += [f.name for f in wanted.DESCRIPTOR.fields if f.message_type and not f.is_repeated
                  and answer.HasField(f.name) != wanted.HasField(f.name)]  # fmt: skip
        lines = [
            f"{name}: answered {getattr(answer, name)!s} instead of {getattr(wanted, name)!s}"
            for name in names
        ]
        self.check(False, f"{what} differs: " + "; ".join(lines))

    def same_task(self, answer: task_pb2.Task, known: Known, what: str, *, is_light: bool = False) -> None:
        """Compares an answered task with the model; learns the etag of a state that is new."""
        self.check(bool(answer.etag), "no etag")
        wanted = task_pb2.Task()
        wanted.CopyFrom(known.task)
        if not wanted.etag:
            self.check(answer.etag not in known.etags, f"the etag {answer.etag} is that of an earlier state")
            known.etags.append(answer.etag)
            known.task.etag = wanted.etag = answer.etag
        wanted.ClearField("last_scheduled_time")
        if answer.HasField("last_scheduled_time"):
            wanted.last_scheduled_time.CopyFrom(answer.last_scheduled_time)
        self.check(
            answer.HasField("last_scheduled_time") == bool(known.task.execution_count or known.extra),
            "last_scheduled_time",
        )
        if is_light:
            wanted.payload = b""
        self.same(answer, wanted, what)

    async def recheck(self, known: Known) -> None:
        """The task is as the model says."""
        answer = await self.call(self.tasks, "GetTask", self.named(known, task_service_pb2.GetTaskRequest))
        self.same_task(answer.task, known, "GetTask")

    def named(self, known: Known, request: Callable[..., Any], **fields: Any) -> Any:
        """A request about a task."""
        return request(namespace=known.task.namespace, id=known.task.id, **fields)

    async def settle(self) -> None:
        """Lets what is due now run."""
        await self.move(0)

    async def move(self, by: int) -> None:
        """Moves the clock."""
        request = dev_service_pb2.AdvanceTimeRequest(by=length(by))
        for known in self.known.values():
            known.settle(self.now, is_backlog=True)
        answer = await self.call(self.dev, "AdvanceTime", request)
        self.now += by
        self.check(answer.time.ToMicroseconds() == self.now, f"the time is {answer.time}")
        for known in self.known.values():
            known.settle(self.now, is_backlog=False)

    # --- what to call about --------------------------------------------------------------------------------------

    def any_known(self, wanted: Callable[[Known], bool] = lambda known: True) -> Known | None:
        """One of the tasks; the recent ones rather."""
        fitting = [known for known in self.known.values() if wanted(known)]
        if not fitting:
            return None
        return self.rng.choice(fitting[-15:] if self.wish.maybe(0.8) else fitting)

    def new_name(self) -> tuple[str, str]:
        """A name that no task has."""
        if self.removed and self.wish.maybe(0.2):
            return self.removed.pop()
        text = self.rng.choice(("t", "Ünïcödé/", "a b"))
        return self.rng.choice(NAMESPACES), f"{text}{len(self.known)}-{self.requests}"

    async def step(self) -> None:
        """One more call, and what checks it."""
        (action,) = self.rng.choices([action for action, _ in self.actions], [w for _, w in self.actions])
        await action(self)

    # --- tasks come into being -----------------------------------------------------------------------------------

    def learn(self, answer: task_pb2.Task, sent: task_pb2.Task) -> Known:
        """Compares a new task with what was asked for."""
        wanted = with_defaults(sent)
        for name in ("state", "version", "etag"):
            wanted.ClearField(name)
        self.check_schedule(answer, sent)
        wanted.id = wanted.id or answer.id
        wanted.schedule.CopyFrom(answer.schedule)
        wanted.state, wanted.version, wanted.etag = ACTIVE, 1, answer.etag
        wanted.create_time.CopyFrom(stamp(self.now))
        wanted.update_time.CopyFrom(stamp(self.now))
        wanted.next_scheduled_time.CopyFrom(answer.next_scheduled_time)
        wanted.partition_id = answer.partition_id
        self.same(answer, wanted, "the new task")
        known = Known.of(answer, sent, self.now)
        self.known[answer.namespace, answer.id] = known
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

    async def check_fires(self, known: Known, answer: Any) -> None:
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
        preview = await self.call(self.tasks, "PreviewSchedule", request)
        self.same(preview.schedule, task.schedule, "the schedule of the preview")
        self.check(list(preview.fires) == list(answer.next_fires), "the fires of the preview")
        self.check(preview.meaning == answer.meaning, "the meaning of the preview")

    async def create(self) -> None:
        """CreateTask: a new one."""
        sent = self.wish.task(self.now, *self.new_name())
        answer = await self.call(self.tasks, "CreateTask", task_service_pb2.CreateTaskRequest(task=sent))
        known = self.learn(answer.task, sent)
        if known.next_at is not None and known.due > self.now:
            await self.check_fires(known, answer)
        await self.settle()
        await self.recheck(known)

    async def create_again(self) -> None:
        """CreateTask: the same call once more, or another definition under the same id."""
        known = self.any_known()
        if known is None:
            return
        sent = task_pb2.Task()
        sent.CopyFrom(known.sent if known.sent is not None else known.task)
        field = self.rng.choice(("", "", *FIELDS))
        if field in ("", "schedule", "delivery"):
            request = task_service_pb2.CreateTaskRequest(task=sent)
            try:
                answer = await self.call(self.tasks, "CreateTask", request)
            except Refused as refused:
                # A schedule that has passed by now is not one to register any more.
                is_over = refused.fields in (["task.schedule"], ["task.schedule.at"])
                self.check(is_over, f"the same call is refused: {refused}")
            else:
                self.same_task(answer.task, known, "the same call once more")
        else:
            before = with_defaults(sent)
            if (
                sent.schedule.WhichOneof("kind") == "at"
                and sent.schedule.at.ToMicroseconds() < self.now - DAY
            ):
                return
            self.wish.put(sent, field, self.now)
            if with_defaults(sent) == before or (sent.retry.max_attempts > 1 and sent.delivery == 2):
                return
            try:
                await self.call(self.tasks, "CreateTask", task_service_pb2.CreateTaskRequest(task=sent))
            except Refused as refused:
                is_over = refused.fields == ["task.schedule"]
                self.check(refused.code is Code.ALREADY_EXISTS or is_over, f"another definition: {refused}")
            else:
                self.check(False, f"another definition ({field}) is taken for the same")
        await self.recheck(known)

    async def create_wrong(self) -> None:
        """CreateTask with one thing wrong."""
        namespace, task_id = self.new_name()
        sent = self.wish.task(self.now, namespace, task_id)
        request = task_service_pb2.CreateTaskRequest(task=sent)
        field = self.put_flaw(request.task)
        if self.wish.maybe(0.05):
            request.ClearField("task")
            field = "task"
        await self.refused(self.tasks, "CreateTask", request, Code.INVALID_ARGUMENT, field)
        if request.task.id == task_id and (namespace or "default") == (request.task.namespace or "default"):
            get = task_service_pb2.GetTaskRequest(namespace=namespace, id=task_id)
            await self.refused(self.tasks, "GetTask", get, Code.NOT_FOUND)

    def put_flaw(self, task: task_pb2.Task, prefix: str = "task") -> str:
        """Gets one thing of a task wrong; answers what a refusal is to name."""
        if self.wish.maybe(0.1):
            name = self.rng.choice(("id", "namespace"))
            setattr(task, name, self.rng.choice(BAD_NAMES))
            return f"{prefix}.{name}"
        if self.wish.maybe(0.05):
            task.delivery = task_pb2.DELIVERY_MODE_AT_MOST_ONCE
            task.retry.max_attempts = 2
            return f"{prefix}.retry"
        flaw = self.rng.choice(FLAWS)
        flaw.put(task)
        return f"{prefix}.{flaw.path}"

    async def create_batch(self) -> None:
        """BatchCreateTasks: right ones, wrong ones, ones that exist, one name twice."""
        request = task_service_pb2.BatchCreateTasksRequest()
        wanted: list[tuple[str, str, Known | None]] = []
        for number in range(self.rng.randrange(1, 6)):
            namespace, task_id = self.new_name()
            sent = self.wish.task(self.now, namespace, f"{task_id}-{number}")
            kind = self.rng.choice(("new", "new", "wrong", "taken", "twice"))
            known = self.any_known() if kind == "taken" else None
            if kind == "wrong":
                field = self.put_flaw(sent, f"tasks[{number}]")
                wanted.append(("INVALID_ARGUMENT", field, None))
            elif known is not None:
                sent.namespace, sent.id = known.task.namespace, known.task.id
                sent.payload = b"another definition"
                wanted.append(("ALREADY_EXISTS", "", known))
            elif kind == "twice" and request.tasks and wanted[-1][0] == "NEW":
                sent.CopyFrom(request.tasks[-1])
                wanted.append(("SAME", "", None))
            else:
                wanted.append(("NEW", "", None))
            request.tasks.append(sent)
        answer = await self.call(self.tasks, "BatchCreateTasks", request)
        self.check(len(answer.results) == len(wanted), "as many results as tasks")
        touched: list[Known] = []
        for (kind, field, known), sent, result in zip(wanted, request.tasks, answer.results, strict=True):
            if kind == "NEW":
                self.check(result.HasField("task"), f"{short(sent)} is refused: {result.error.message}")
                touched.append(self.learn(result.task, sent))
            elif kind == "SAME":
                self.same(result.task, touched[-1].task, "one name twice")
            else:
                self.check(result.HasField("error"), f"{short(sent)} is answered instead of {kind} {field}")
                code = Code.INVALID_ARGUMENT if kind == "INVALID_ARGUMENT" else Code.ALREADY_EXISTS
                self.check(result.error.code == code.value[0], f"{result.error.message} instead of {kind}")
                self.check(
                    not field or field in violations(result.error.details), f"{result.error} not {field}"
                )
                touched += [known] if known is not None else []
        await self.settle()
        for known in touched:
            await self.recheck(known)

    async def batch_wrong(self) -> None:
        """BatchCreateTasks of none."""
        request = task_service_pb2.BatchCreateTasksRequest()
        await self.refused(self.tasks, "BatchCreateTasks", request, Code.INVALID_ARGUMENT, "tasks")

    # --- tasks change --------------------------------------------------------------------------------------------

    async def update(self) -> None:
        """UpdateTask."""
        known = self.any_known(lambda known: known.is_live)
        if known is None:
            return
        task = known.task
        given = task_pb2.Task(namespace=task.namespace, id=task.id)
        mask = self.rng.sample(FIELDS, self.rng.choice((1, 1, 2, 3)))
        for field in mask:
            self.wish.put(given, field, self.now)
        if self.wish.maybe(0.2):
            self.wish.put(given, "labels", self.now)  # not in the mask: ignored
        if "schedule" in mask and has_passed(known, self.now):
            return  # the model has no place for what is owed of the schedule before
        request = task_service_pb2.UpdateTaskRequest(task=given)
        request.update_mask.paths.extend(mask)
        if self.wish.maybe():
            request.etag = task.etag
        wanted = self.updated(known, given, mask)
        most = wanted.schedule.max_executions
        if wanted.retry.max_attempts > 1 and wanted.delivery == task_pb2.DELIVERY_MODE_AT_MOST_ONCE:
            await self.refused(self.tasks, "UpdateTask", request, Code.INVALID_ARGUMENT, "task.retry")
        elif "schedule" in mask and most and most <= task.execution_count:
            path = "task.schedule.max_executions"
            await self.refused(self.tasks, "UpdateTask", request, Code.INVALID_ARGUMENT, path)
        else:
            await self.apply_update(known, request, wanted)
        await self.settle()
        await self.recheck(known)

    def updated(self, known: Known, given: task_pb2.Task, mask: list[str]) -> task_pb2.Task:
        """The task with the fields of the mask as given, the others as they are."""
        merged = task_pb2.Task()
        merged.CopyFrom(known.task)
        if known.task.overlap == default_overlap(known.task):
            merged.ClearField("overlap")
        source = task_pb2.Task()
        source.CopyFrom(given)
        for descriptor, _ in given.ListFields():
            if descriptor.name not in mask:
                source.ClearField(descriptor.name)
        for field in mask:
            merged.ClearField(field)
        merged.MergeFrom(source)
        return with_defaults(merged)

    async def apply_update(
        self, known: Known, request: task_service_pb2.UpdateTaskRequest, wanted: task_pb2.Task
    ) -> None:
        """An update that is right."""
        answer = await self.call(self.tasks, "UpdateTask", request)
        before = known.task
        if "schedule" in request.update_mask.paths:
            self.check_schedule(answer.task, request.task)
            wanted.schedule.CopyFrom(answer.task.schedule)
        has_new_schedule = wanted.schedule != before.schedule
        known.schedule = readable(wanted, known.key)
        if has_new_schedule:
            wanted.next_scheduled_time.CopyFrom(answer.task.next_scheduled_time)
        is_changed = wanted != before
        known.task = wanted
        if is_changed:
            known.touch(self.now)
            known.sent = None
        if has_new_schedule:
            assert known.next_at is not None
            known.due = max(due_at(known.schedule, known.key, known.next_at), self.now)
            await self.check_fires(known, answer)
        self.same_task(answer.task, known, "UpdateTask")

    async def update_wrong(self) -> None:
        """UpdateTask with one thing wrong."""
        known = self.any_known(lambda known: known.is_live)
        if known is None:
            return
        request = task_service_pb2.UpdateTaskRequest()
        request.task.namespace, request.task.id = known.task.namespace, known.task.id
        code, field = Code.INVALID_ARGUMENT, ""
        flaw = self.rng.choice(("field", "field", "mask", "no mask", "etag", "no task", "missing", "name"))
        if flaw == "field":
            chosen = self.rng.choice(FLAWS)
            chosen.put(request.task)
            request.update_mask.paths.append(chosen.field)
            field = f"task.{chosen.path}"
        else:
            request.task.handler = "another"
            request.update_mask.paths.append("handler")
        if flaw == "mask":
            request.update_mask.paths.append(self.rng.choice(("state", "id", "", "schedule.cron", "*")))
            field = "update_mask"
        elif flaw == "no mask":
            request.ClearField("update_mask")
            field = "update_mask"
        elif flaw == "no task":
            request.ClearField("task")
            field = "task"
        elif flaw == "name":
            request.task.id = self.rng.choice(("", *BAD_NAMES))
            field = "task.id"
        elif flaw == "missing":
            request.task.id = "no such task"
            code = Code.NOT_FOUND
        elif flaw == "etag":
            request.etag = self.stale_etag(known)
            code = Code.ABORTED
        await self.refused(self.tasks, "UpdateTask", request, code, field)
        await self.recheck(known)

    def stale_etag(self, known: Known) -> str:
        """One that the task had, or never had."""
        return self.rng.choice([etag for etag in known.etags if etag != known.task.etag] + ["v0", "é" * 50])

    def reason(self) -> tuple[str, str]:
        """A note and a name."""
        return self.rng.choice(("", "maintenance", "ü" * 500)), self.rng.choice(("", "ana", "n" * 200))

    async def pause_or_resume(self) -> None:
        """PauseTask and ResumeTask."""
        known = self.any_known()
        if known is None:
            return
        is_pause = self.wish.maybe()
        note, changed_by = self.reason()
        etag = known.task.etag if self.wish.maybe(0.3) else ""
        kind = task_service_pb2.PauseTaskRequest if is_pause else task_service_pb2.ResumeTaskRequest
        request = self.named(known, kind, note=note, changed_by=changed_by, etag=etag)
        method = "PauseTask" if is_pause else "ResumeTask"
        if not known.is_live:
            await self.refused(self.tasks, method, request, Code.FAILED_PRECONDITION)
        else:
            answer = await self.call(self.tasks, method, request)
            (known.pause if is_pause else known.resume)(self.now, note, changed_by)
            self.same_task(answer.task, known, method)
        await self.settle()
        await self.recheck(known)

    async def state_wrong(self) -> None:
        """PauseTask and ResumeTask with one thing wrong."""
        known = self.any_known(lambda known: known.is_live)
        if known is None:
            return
        is_pause = self.wish.maybe()
        request = self.named(
            known, task_service_pb2.PauseTaskRequest if is_pause else task_service_pb2.ResumeTaskRequest
        )
        code, field = (
            Code.INVALID_ARGUMENT,
            self.rng.choice(("note", "changed_by", "id", "namespace", "etag", "")),
        )
        if field == "note":
            request.note = "x" * 501
        elif field == "changed_by":
            request.changed_by = "x" * 201
        elif field == "id":
            request.id = self.rng.choice(("", *BAD_NAMES))
        elif field == "namespace":
            request.namespace = self.rng.choice(BAD_NAMES)
        elif field == "etag":
            request.etag, code, field = self.stale_etag(known), Code.ABORTED, ""
        else:
            request.id, code = "no such task", Code.NOT_FOUND
        await self.refused(self.tasks, "PauseTask" if is_pause else "ResumeTask", request, code, field)
        await self.recheck(known)

    async def cancel(self) -> None:
        """CancelTask."""
        known = self.any_known(lambda known: known.task.handler in OFFERED or self.wish.maybe(0.2))
        if known is None:
            return
        request = self.named(known, task_service_pb2.CancelTaskRequest)
        if known.task.state == COMPLETED:
            await self.refused(self.tasks, "CancelTask", request, Code.FAILED_PRECONDITION)
        else:
            answer = await self.call(self.tasks, "CancelTask", request)
            known.cancel(self.now)
            self.same_task(answer.task, known, "CancelTask")
        await self.recheck(known)

    async def get_wrong(self) -> None:
        """GetTask and CancelTask of no task."""
        method = self.rng.choice(("GetTask", "CancelTask"))
        kind = task_service_pb2.GetTaskRequest if method == "GetTask" else task_service_pb2.CancelTaskRequest
        name, code, field = self.rng.choice(
            (
                ("no such task", Code.NOT_FOUND, ""),
                ("", Code.INVALID_ARGUMENT, "id"),
                *((bad, Code.INVALID_ARGUMENT, "id") for bad in BAD_NAMES),
            )
        )
        await self.refused(self.tasks, method, kind(id=name), code, field)

    # --- many tasks ----------------------------------------------------------------------------------------------

    def filter(self) -> tuple[str, task_service_pb2.TaskFilter, list[Known]]:
        """A namespace, a filter, and the tasks that it names."""
        rng = self.rng
        namespace = rng.choice(NAMESPACES)
        made = task_service_pb2.TaskFilter()
        if self.wish.maybe():
            made.states.extend(rng.sample((ACTIVE, PAUSED, COMPLETED, CANCELLED), rng.choice((1, 2))))
        if self.wish.maybe():
            made.handler = rng.choice((*OFFERED, NOT_OFFERED))
        if self.wish.maybe(0.3):
            made.labels["team"] = rng.choice(("a", "b", ""))
        if self.wish.maybe(0.2):
            made.labels["Größe"] = rng.choice(("1", 'say "hi" \\'))
        if self.wish.maybe(0.2):
            made.next_from_time.CopyFrom(stamp(self.now + rng.choice((0, HOUR, DAY))))
        if self.wish.maybe(0.2):
            made.next_until_time.CopyFrom(stamp(self.now + rng.choice((0, HOUR, 40 * DAY))))
        return namespace, made, [
            known
            for (space, _), known in self.known.items()
            if space == (namespace or "default") and fits(known, made)
        ]  # fmt: skip

    async def list_tasks(self) -> None:
        """ListTasks and CountTasks."""
        namespace, only, wanted = self.filter()
        count = await self.call(
            self.tasks, "CountTasks", task_service_pb2.CountTasksRequest(namespace=namespace, filter=only)
        )
        self.check(count.count == len(wanted), f"{count.count} tasks instead of {len(wanted)}")
        states = Counter(known.task.state for known in wanted)
        self.check({entry.state: entry.count for entry in count.by_state} == dict(states), "by state")
        request = task_service_pb2.ListTasksRequest(
            namespace=namespace,
            filter=only,
            omit_payload=self.wish.maybe(),
            page_size=self.rng.choice((0, 7, 1_000)),
        )
        if len(wanted) > 100 and request.page_size == 7:
            request.page_size = 50
        listed: list[task_pb2.Task] = []
        while True:
            page = await self.call(self.tasks, "ListTasks", request)
            listed.extend(page.tasks)
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        names = sorted((task.namespace, task.id) for task in listed)
        self.check(names == sorted((k.task.namespace, k.task.id) for k in wanted), "the names of the list")
        for task in listed:
            self.same_task(
                task, self.known[task.namespace, task.id], "ListTasks", is_light=request.omit_payload
            )

    async def list_wrong(self) -> None:
        """ListTasks, CountTasks and ChangeTasks with one thing wrong."""
        method, kind = self.rng.choice(
            (
                ("ListTasks", task_service_pb2.ListTasksRequest),
                ("CountTasks", task_service_pb2.CountTasksRequest),
                ("ChangeTasks", task_service_pb2.ChangeTasksRequest),
            )
        )
        request: Any = kind(filter=task_service_pb2.TaskFilter(handler="noop"))
        if method == "ChangeTasks":
            request.change = 1
        flaws: list[tuple[str, Callable[[], object]]] = [
            ("namespace", lambda: setattr(request, "namespace", self.rng.choice(BAD_NAMES))),
            ("filter.states", lambda: request.filter.states.append(self.rng.choice((0, 5, -1)))),
            ("filter.handler", lambda: setattr(request.filter, "handler", "h" * 201)),
            ("filter.labels[]", lambda: request.filter.labels.update({"": "x"})),
            ("filter.labels[k]", lambda: request.filter.labels.update({"k": "x" * 64})),
            ("filter.next_from_time", lambda: request.filter.next_from_time.CopyFrom(stamp_of(-(2**60)))),
            ("filter.next_until_time", lambda: setattr(request.filter.next_until_time, "nanos", -1)),
        ]
        if method == "ListTasks":
            flaws += [
                ("page_size", lambda: setattr(request, "page_size", self.rng.choice((-1, 1_001)))),
                (
                    "page_token",
                    lambda: setattr(request, "page_token", self.rng.choice(("x", "é", "AAAA" * 9))),
                ),
            ]
        if method == "ChangeTasks":
            flaws += [
                ("change", lambda: setattr(request, "change", self.rng.choice((0, 9, -3)))),
                ("note", lambda: setattr(request, "note", "x" * 501)),
                ("changed_by", lambda: setattr(request, "changed_by", "x" * 201)),
                ("filter", lambda: request.ClearField("filter")),
            ]
        field, put = self.rng.choice(flaws)
        put()
        await self.refused(self.tasks, method, request, Code.INVALID_ARGUMENT, field)

    async def change_many(self) -> None:
        """ChangeTasks."""
        namespace, only, named = self.filter()
        if not only.ListFields() or len(named) > 40:
            return
        note, changed_by = self.reason()
        change = self.rng.choice((1, 1, 2, 2, 3))
        request = task_service_pb2.ChangeTasksRequest(
            namespace=namespace,
            filter=only,
            change=change,  # type: ignore[arg-type]
            note=note,
            changed_by=changed_by,
        )
        request.dry_run = self.wish.maybe(0.3)
        answer = await self.call(self.tasks, "ChangeTasks", request)
        changed = 0
        if not request.dry_run:
            for known in named:
                do = {1: known.pause, 2: known.resume, 3: known.cancel}[change]
                changed += do(self.now, note, changed_by)
        self.check(
            (answer.matched_count, answer.changed_count) == (len(named), changed),
            f"{answer} instead of {len(named)} and {changed}",
        )
        await self.settle()
        for known in named:
            await self.recheck(known)

    # --- schedules and time --------------------------------------------------------------------------------------

    async def preview(self) -> None:
        """PreviewSchedule: what CreateTask would say."""
        schedule = self.wish.schedule(self.now)
        count = self.rng.choice((0, 1, 30))
        request = task_service_pb2.PreviewScheduleRequest(schedule=schedule, id="p", count=count)
        answer = await self.call(self.tasks, "PreviewSchedule", request)
        times = [fire.scheduled_time.ToMicroseconds() for fire in answer.fires]
        self.check(bool(times) and times == sorted(set(times)) and bool(answer.meaning), "the fires")
        self.check(len(times) == (count or 10) or answer.is_complete, "as many as asked for")
        again = await self.call(
            self.tasks,
            "PreviewSchedule",
            task_service_pb2.PreviewScheduleRequest(schedule=answer.schedule, id="p", count=count),
        )
        self.same(again, answer, "the preview of what a preview answers")

    async def preview_wrong(self) -> None:
        """PreviewSchedule with one thing wrong."""
        task = task_pb2.Task(schedule=self.wish.schedule(self.now))
        flaw = self.rng.choice([flaw for flaw in FLAWS if flaw.field == "schedule"])
        flaw.put(task)
        request = task_service_pb2.PreviewScheduleRequest(id="p")
        if task.HasField("schedule"):
            request.schedule.CopyFrom(task.schedule)
        field = flaw.path
        if self.wish.maybe(0.3):
            request.schedule.CopyFrom(self.wish.schedule(self.now))
            field, value = self.rng.choice(
                (("count", -1), ("count", 1_001), ("id", "x\n"), ("namespace", "\x00"))
            )
            setattr(request, field, value)
        await self.refused(self.tasks, "PreviewSchedule", request, Code.INVALID_ARGUMENT, field)

    async def wait(self) -> None:
        """Time passes."""
        if self.now - self.began > LONGEST:
            return
        by = self.rng.choice((1_000, SECOND, 29 * SECOND, 31 * SECOND, 5 * 60 * SECOND, HOUR, DAY, 3 * DAY))
        while (
            sum(len(known.due_times(self.now + by, MOST_RUNS + 1)) for known in self.known.values())
            > MOST_RUNS
        ):
            by = by // 4 // 1_000 * 1_000
        await self.move(by)
        known = self.any_known()
        if known is not None:
            await self.recheck(known)
            await self.check_ledger(known)

    # --- the ledger ----------------------------------------------------------------------------------------------

    async def rows(self, known: Known) -> list[execution_pb2.Execution]:
        """The ledger of a task, by scheduled time."""
        request = execution_service_pb2.ListExecutionsRequest(
            namespace=known.task.namespace, task_id=known.task.id, page_size=self.rng.choice((3, 1_000))
        )
        if known.task.execution_count > 30:
            request.page_size = 1_000
        rows: list[execution_pb2.Execution] = []
        while True:
            page = await self.call(self.executions, "ListExecutions", request)
            rows.extend(page.executions)
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return sorted(rows, key=lambda row: row.scheduled_time.ToMicroseconds())

    async def check_ledger(self, known: Known) -> None:
        """Exactly the scheduled times of the stretches in which it was active, each once."""
        rows = await self.rows(known)
        where = f"the ledger of {short(known.task)}"
        at = {row.scheduled_time.ToMicroseconds(): row for row in rows}
        self.check(len(at) == len(rows), f"{where} has a time twice")
        for taken in known.taken:
            self.check_taken(taken, at, where)
        for time, origin in known.extra.items():
            row = at.pop(time, None)
            self.check(row is not None and row.origin == origin, f"{where} has {row} at {time}, not {origin}")
        self.check(not at, f"{where} has times that never were: {list(at.values())[:3]}")

    def check_taken(self, taken: Taken, at: dict[int, execution_pb2.Execution], where: str) -> None:
        """One part of a ledger; takes its rows out of `at`."""
        gap = taken.gap
        if gap:
            row = at.pop(gap[0], None)
            self.check(row is not None, f"{where} lacks a gap row at {gap[0]}")
            assert row is not None
            span = (row.gap.last_scheduled_time.ToMicroseconds(), row.gap.count)
            self.check(
                span == (gap[-1], len(gap)),
                f"{where} has the gap {row} instead of {gap[0], gap[-1], len(gap)}",
            )
            self.check(row.state == execution_pb2.EXECUTION_STATE_SKIPPED, f"{where} ran a gap")
        for time in taken.times[len(gap) :]:
            row = at.pop(time, None)
            self.check(row is not None, f"{where} lacks {stamp(time).ToJsonString()}")
            assert row is not None
            self.check(not row.HasField("gap"), f"{where} has a gap that should have run: {row}")
            origin = 2 if time in taken.catch_up else 1
            self.check(
                row.origin == origin, f"{where} has the origin {row.origin} instead of {origin}: {row}"
            )
            is_explained = row.state != execution_pb2.EXECUTION_STATE_SKIPPED or bool(row.reason)
            self.check(is_explained, f"{where} skips without a reason: {row}")

    async def look(self) -> None:
        """ListExecutions with filters, GetExecution and ExplainExecution."""
        known = self.any_known(lambda known: known.task.execution_count > 0 or self.wish.maybe(0.1))
        if known is None:
            return
        await self.check_ledger(known)
        rows = await self.rows(known)
        name = {"namespace": known.task.namespace, "task_id": known.task.id}
        for row in self.rng.sample(rows, min(3, len(rows))):
            got = await self.call(
                self.executions,
                "GetExecution",
                execution_service_pb2.GetExecutionRequest(scheduled_time=row.scheduled_time, **name),
            )
            got.execution.result = b""
            self.same(got.execution, row, "GetExecution")
            await self.explain(name, row.scheduled_time.ToMicroseconds(), row)
            if row.HasField("gap"):
                await self.explain(name, row.gap.last_scheduled_time.ToMicroseconds(), row)
        if rows:
            await self.check_filters(name, rows)
        other = self.now + self.rng.choice((-DAY, 12_345, HOUR, -1, 20_000 * DAY))
        await self.explain(name, other, holder(rows, other), spans_of(rows))
        if other not in {row.scheduled_time.ToMicroseconds() for row in rows}:
            request = execution_service_pb2.GetExecutionRequest(scheduled_time=stamp(other), **name)
            await self.refused(self.executions, "GetExecution", request, Code.NOT_FOUND)

    async def explain(
        self,
        name: dict[str, str],
        at: int,
        row: execution_pb2.Execution | None,
        spans: Iterable[tuple[int, int]] = (),
    ) -> None:
        """ExplainExecution of one scheduled time; what lies within a span is told of its gap row."""
        request = execution_service_pb2.ExplainExecutionRequest(scheduled_time=stamp(at), **name)
        answer = await self.call(self.executions, "ExplainExecution", request)
        self.check(bool(answer.summary), "no summary")
        is_within = any(begin <= at <= end for begin, end in spans)
        if row is not None or not is_within:
            self.check(answer.HasField("execution") == (row is not None), "an execution where there is none")
        if row is not None and not row.HasField("gap"):
            answer.execution.result = b""
            self.same(answer.execution, row, "ExplainExecution")

    async def check_filters(self, name: dict[str, str], rows: list[execution_pb2.Execution]) -> None:
        """ListExecutions of some states and times."""
        states = self.rng.sample(sorted({row.state for row in rows}), 1)
        begin = self.rng.choice(rows).scheduled_time
        request = execution_service_pb2.ListExecutionsRequest(
            states=states,
            start_time=begin,
            page_size=1_000,
            **name,  # type: ignore[arg-type]
        )
        wanted = {
            row.scheduled_time.ToMicroseconds()
            for row in rows
            if row.state in states and row.scheduled_time.ToMicroseconds() >= begin.ToMicroseconds()
        }
        listed: list[int] = []
        while True:
            page = await self.call(self.executions, "ListExecutions", request)
            listed += [row.scheduled_time.ToMicroseconds() for row in page.executions]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        self.check(sorted(listed) == sorted(wanted), "ListExecutions with a filter")

    async def look_wrong(self) -> None:
        """Reads of the ledger with one thing wrong."""
        known = self.any_known()
        if known is None:
            return
        method, kind = self.rng.choice(
            (
                ("ListExecutions", execution_service_pb2.ListExecutionsRequest),
                ("GetExecution", execution_service_pb2.GetExecutionRequest),
                ("ExplainExecution", execution_service_pb2.ExplainExecutionRequest),
            )
        )
        request: Any = kind(namespace=known.task.namespace, task_id=known.task.id)
        code, field = Code.INVALID_ARGUMENT, self.rng.choice(("namespace", "task_id", "time", "more"))
        if field == "namespace":
            request.namespace = self.rng.choice(BAD_NAMES)
        elif field == "task_id":
            request.task_id = self.rng.choice(BAD_NAMES)
        elif method != "ListExecutions":
            request.task_id, code, field = "no such task", Code.NOT_FOUND, ""
            if self.wish.maybe():
                request.task_id, code, field = known.task.id, Code.INVALID_ARGUMENT, "scheduled_time"
                request.scheduled_time.nanos = -1
        else:
            flaws: list[tuple[str, Callable[[], object]]] = [
                ("page_size", lambda: setattr(request, "page_size", self.rng.choice((-1, 1_001)))),
                ("page_token", lambda: setattr(request, "page_token", "nonsense")),
                ("states[0]", lambda: request.states.append(77)),
                ("start_time", lambda: request.start_time.CopyFrom(stamp_of(2**60))),
                ("labels[]", lambda: request.labels.update({"": "x"})),
                ("handler", lambda: setattr(request, "handler", "a\nb")),
            ]
            field, put = self.rng.choice(flaws)
            put()
        await self.refused(self.executions, method, request, code, field)

    # --- beside the schedule -------------------------------------------------------------------------------------

    async def trigger(self) -> None:
        """TriggerTask, at times twice with one request id."""
        known = self.any_known()
        if known is None:
            return
        request = self.named(known, task_service_pb2.TriggerTaskRequest)
        if self.wish.maybe():
            request.payload = self.rng.choice((b"", b"2"))
        if known.task.state in (PAUSED, CANCELLED):
            await self.refused(self.tasks, "TriggerTask", request, Code.FAILED_PRECONDITION)
        else:
            request.request_id = self.rng.choice(("", f"r{self.requests}"))
            answer = await self.call(self.tasks, "TriggerTask", request)
            self.learn_extra(known, answer.execution, execution_pb2.EXECUTION_ORIGIN_TRIGGER)
            if request.request_id:
                again = await self.call(self.tasks, "TriggerTask", request)
                self.check(
                    again.execution.scheduled_time == answer.execution.scheduled_time,
                    "the same request id again",
                )
        await self.settle()
        await self.recheck(known)
        await self.check_ledger(known)

    def learn_extra(self, known: Known, row: execution_pb2.Execution, origin: int) -> None:
        """An execution that a call added: now, or right behind where that is taken."""
        at = row.scheduled_time.ToMicroseconds()
        self.check(self.now <= at < self.now + 1_000, f"it is triggered for {at} at {self.now}")
        is_new = at not in known.extra and not any(at in taken.times for taken in known.taken)
        self.check(is_new and row.origin == origin, f"what was triggered is not new: {row}")
        known.extra[at] = origin

    async def cancel_or_retry(self) -> None:
        """CancelExecution and RetryExecution of an execution in any state."""
        known = self.any_known(lambda known: bool(known.task.execution_count or known.extra))
        if known is None:
            return
        row = self.rng.choice(await self.rows(known))
        name = {"namespace": known.task.namespace, "task_id": known.task.id}
        if self.wish.maybe():
            cancel = execution_service_pb2.CancelExecutionRequest(scheduled_time=row.scheduled_time, **name)
            cancelled = await self.call(self.executions, "CancelExecution", cancel)
            if is_final(row):
                cancelled.execution.result = b""
                self.same(cancelled.execution, row, "CancelExecution of what is final")
            self.check(cancelled.execution.scheduled_time == row.scheduled_time, "another is cancelled")
        else:
            retry = execution_service_pb2.RetryExecutionRequest(scheduled_time=row.scheduled_time, **name)
            ended_badly = row.state in (
                execution_pb2.EXECUTION_STATE_FAILED,
                execution_pb2.EXECUTION_STATE_EXPIRED,
                execution_pb2.EXECUTION_STATE_LOST,
            )
            if not ended_badly or known.task.state in (PAUSED, CANCELLED):
                await self.refused(self.executions, "RetryExecution", retry, Code.FAILED_PRECONDITION)
            else:
                added = await self.call(self.executions, "RetryExecution", retry)
                self.learn_extra(known, added.execution, execution_pb2.EXECUTION_ORIGIN_TRIGGER)
        await self.settle()
        await self.recheck(known)
        await self.check_ledger(known)

    async def adjust(self) -> None:
        """AdjustExecution of a time to come, and back again: the task is as it was, and another time cannot be adjusted."""
        known = self.any_known(lambda known: known.is_live and not has_passed(known, self.now))
        if known is None or known.next_at is None:
            return
        times = [known.next_at, *fires_between(known.schedule, known.next_at, 2**62, 5)]
        left = (known.schedule.max_executions or 2**62) - known.task.execution_count
        index = self.rng.randrange(len(times))
        if known.task.state == PAUSED or known.is_once:
            index = 0
        at, kind = times[index], self.rng.choice(("skip", "payload", "due_time", "reset"))
        name: dict[str, Any] = {"namespace": known.task.namespace, "task_id": known.task.id}

        def request(at: int, **how: Any) -> execution_service_pb2.AdjustExecutionRequest:
            return execution_service_pb2.AdjustExecutionRequest(scheduled_time=stamp(at), **name, **how)

        due = due_at(known.schedule, known.key, at)
        how: dict[str, Any] = {"skip": True, "payload": b"own", "due_time": stamp(due), "reset": True}
        wanted = request(at, **{kind: how[kind]})
        if index >= left:
            await self.refused(self.executions, "AdjustExecution", wanted, Code.FAILED_PRECONDITION)
            return
        if kind == "due_time" and due < self.now:
            return
        await self.call(self.executions, "AdjustExecution", wanted)
        await self.call(self.executions, "AdjustExecution", request(at, reset=True))
        if not known.is_once:
            none = request(at + 1, skip=True)
            await self.refused(self.executions, "AdjustExecution", none, Code.FAILED_PRECONDITION)
            past = request(at, due_time=stamp(self.now - 1))
            await self.refused(self.executions, "AdjustExecution", past, Code.INVALID_ARGUMENT, "due_time")
        await self.recheck(known)

    async def beside_wrong(self) -> None:
        """TriggerTask, BackfillTask, DeleteTask, CancelExecution and RetryExecution with one thing wrong."""
        known = self.any_known(lambda known: known.is_live)
        if known is None:
            return
        now, method = stamp(self.now), self.rng.choice(("TriggerTask", "BackfillTask", "DeleteTask", "", ""))
        stub: Any = self.tasks
        id_field = "id"
        request: Any
        flaws: list[tuple[str, Code, Callable[[], object]]] = []
        if method == "TriggerTask":
            request = self.named(known, task_service_pb2.TriggerTaskRequest)
            flaws = [
                (
                    "payload",
                    Code.INVALID_ARGUMENT,
                    lambda: setattr(request, "payload", b"x" * (256 * 1024 + 1)),
                ),
                ("request_id", Code.INVALID_ARGUMENT, lambda: setattr(request, "request_id", "r" * 201)),
            ]
        elif method == "BackfillTask":
            request = self.named(
                known, task_service_pb2.BackfillTaskRequest, start_time=stamp(self.now - HOUR), end_time=now
            )
            flaws = [
                ("start_time", Code.INVALID_ARGUMENT, lambda: request.ClearField("start_time")),
                ("end_time", Code.INVALID_ARGUMENT, lambda: request.ClearField("end_time")),
                (
                    "end_time",
                    Code.INVALID_ARGUMENT,
                    lambda: request.end_time.CopyFrom(stamp(self.now + SECOND)),
                ),
                ("end_time", Code.INVALID_ARGUMENT, lambda: request.end_time.CopyFrom(request.start_time)),
                ("start_time", Code.INVALID_ARGUMENT, lambda: setattr(request.start_time, "nanos", -1)),
            ]
        elif method == "DeleteTask":
            request = self.named(known, task_service_pb2.DeleteTaskRequest)
            flaws = [("", Code.ABORTED, lambda: setattr(request, "etag", self.stale_etag(known)))]
        else:
            stub, id_field, at = self.executions, "task_id", stamp(self.now + 500_000 * DAY)
            method = self.rng.choice(("CancelExecution", "RetryExecution"))
            kind = getattr(execution_service_pb2, f"{method}Request")
            request = kind(namespace=known.task.namespace, task_id=known.task.id, scheduled_time=now)
            flaws = [
                ("scheduled_time", Code.INVALID_ARGUMENT, lambda: request.ClearField("scheduled_time")),
                ("", Code.NOT_FOUND, lambda: request.scheduled_time.CopyFrom(at)),
            ]
            if method == "CancelExecution":
                flaws.append(("note", Code.INVALID_ARGUMENT, lambda: setattr(request, "note", "x" * 501)))
        flaws += [
            (
                "namespace",
                Code.INVALID_ARGUMENT,
                lambda: setattr(request, "namespace", self.rng.choice(BAD_NAMES)),
            ),
            (
                id_field,
                Code.INVALID_ARGUMENT,
                lambda: setattr(request, id_field, self.rng.choice(("", *BAD_NAMES))),
            ),
            ("", Code.NOT_FOUND, lambda: setattr(request, id_field, "no such task")),
        ]
        field, code, put = self.rng.choice(flaws)
        put()
        await self.refused(stub, method, request, code, field)
        await self.recheck(known)

    async def delete(self) -> None:
        """DeleteTask: what is gone is gone, and its id is free."""
        known = self.any_known()
        if known is None:
            return
        request = self.named(known, task_service_pb2.DeleteTaskRequest)
        if self.wish.maybe():
            request.etag = known.task.etag
        is_running = any(
            row.state in (execution_pb2.EXECUTION_STATE_DISPATCHED, execution_pb2.EXECUTION_STATE_RUNNING)
            for row in await self.rows(known)
        )
        if is_running:
            await self.refused(self.tasks, "DeleteTask", request, Code.FAILED_PRECONDITION)
            await self.recheck(known)
            return
        await self.call(self.tasks, "DeleteTask", request)
        name = (known.task.namespace, known.task.id)
        del self.known[name]
        self.removed.append(name)
        get = self.named(known, task_service_pb2.GetTaskRequest)
        await self.refused(self.tasks, "GetTask", get, Code.NOT_FOUND)
        self.check(not await self.rows(known), "a ledger without a task")

    async def backfill(self) -> None:
        """BackfillTask of the last hours: each time that did not run, once."""
        known = self.any_known(lambda known: not known.is_once)
        if known is None:
            return
        start = self.now - self.rng.choice((60 * SECOND, 10 * 60 * SECOND, HOUR))
        request = self.named(
            known, task_service_pb2.BackfillTaskRequest, start_time=stamp(start), end_time=stamp(self.now)
        )
        wanted = list(fires_between(known.schedule, start - 1, self.now - 1, 100))
        if len(wanted) > 20:
            return
        if known.task.state in (PAUSED, CANCELLED):
            return
        rows = {row.scheduled_time.ToMicroseconds(): row.state for row in await self.rows(known)}
        ran = {at for at, state in rows.items() if state not in DID_NOT_RUN}
        wanted = [at for at in wanted if at not in ran and at + 1 not in rows]
        answer = await self.call(self.tasks, "BackfillTask", request)
        self.check(answer.count == len(wanted), f"{answer.count} are backfilled instead of {len(wanted)}")
        self.check(not answer.HasField("next_start_time"), "there is more to backfill")
        known.extra.update({at + 1: execution_pb2.EXECUTION_ORIGIN_BACKFILL for at in wanted})
        again = await self.call(self.tasks, "BackfillTask", request)
        self.check(again.count == 0, "the same is backfilled twice")
        await self.settle()
        await self.recheck(known)
        await self.check_ledger(known)

    actions: tuple[tuple[Callable[[Session], Awaitable[None]], int], ...] = (
        (create, 8),
        (create_again, 4),
        (create_wrong, 9),
        (create_batch, 3),
        (batch_wrong, 1),
        (update, 8),
        (update_wrong, 8),
        (pause_or_resume, 10),
        (state_wrong, 4),
        (cancel, 4),
        (get_wrong, 2),
        (list_tasks, 3),
        (list_wrong, 5),
        (change_many, 3),
        (preview, 2),
        (preview_wrong, 4),
        (wait, 9),
        (look, 4),
        (look_wrong, 3),
        (trigger, 4),
        (cancel_or_retry, 5),
        (beside_wrong, 6),
        (delete, 3),
        (backfill, 2),
        (adjust, 4),
    )

    async def run(self, requests: int) -> None:
        """Calls until so many were made; in the end looks at every task and its ledger."""
        answer = await self.call(self.dev, "GetTime", dev_service_pb2.GetTimeRequest())
        self.now = self.began = answer.time.ToMicroseconds()
        while self.requests < requests:
            await self.step()
        for known in self.known.values():
            await self.recheck(known)
            await self.check_ledger(known)


def short(message: Message) -> str:
    """A message on one line, long texts cut."""
    return re.sub(
        r"(.)\1{50,}", r"\1\1...", text_format.MessageToString(message, as_one_line=True, as_utf8=True)
    )[:2_000]


def stamp_of(seconds: int) -> Any:
    """A Timestamp that no calendar has."""
    made = stamp(0)
    made.seconds = seconds
    return made


def fits(known: Known, only: task_service_pb2.TaskFilter) -> bool:
    """Whether a filter names a task."""
    task = known.task
    return (
        (not only.states or task.state in only.states)
        and (not only.handler or task.handler == only.handler)
        and all(key in task.labels and task.labels[key] == value for key, value in only.labels.items())
        and (
            not only.HasField("next_from_time")
            or (known.next_at is not None and known.next_at >= only.next_from_time.ToMicroseconds())
        )
        and (
            not only.HasField("next_until_time")
            or (known.next_at is not None and known.next_at < only.next_until_time.ToMicroseconds())
        )
    )


def holder(rows: Iterable[execution_pb2.Execution], at: int) -> execution_pb2.Execution | None:
    """The row of a scheduled time."""
    return next((row for row in rows if row.scheduled_time.ToMicroseconds() == at), None)


def has_passed(known: Known, now: int) -> bool:
    """Whether the next scheduled time of a task lies behind: nothing could run it."""
    return known.next_at is not None and known.next_at <= now


def is_final(row: execution_pb2.Execution) -> bool:
    """Whether its state never changes."""
    return row.state >= execution_pb2.EXECUTION_STATE_SUCCEEDED


def spans_of(rows: Iterable[execution_pb2.Execution]) -> list[tuple[int, int]]:
    """From where to where the gap rows reach."""
    return [
        (row.scheduled_time.ToMicroseconds(), row.gap.last_scheduled_time.ToMicroseconds())
        for row in rows
        if row.HasField("gap")
    ]


def violations(details: Iterable[Any]) -> list[str]:
    """The fields that the details of an error name."""
    bad = error_details_pb2.BadRequest()
    return [v.field for packed in details if packed.Unpack(bad) for v in bad.field_violations]
