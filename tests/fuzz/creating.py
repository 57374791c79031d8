"""Calls that register tasks."""

from __future__ import annotations

from typing import Final

from fuzz.caller import Code, Refused, violations
from fuzz.definitions import FIELDS, NAMESPACES, definitions, parts, placed
from fuzz.flaws import FLAWS, Flaw
from fuzz.messages import DAY, short
from fuzz.model import Known, with_defaults
from fuzz.world import World, tasks
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, multiple, rule

from mainspring.v1 import task_pb2, task_service_pb2

SPACES: Final = st.sampled_from(NAMESPACES)
TEXTS: Final = st.sampled_from(("t", "a b", "Ünïcödé/"))
"""What an id begins with."""
OTHERS: Final = tuple(field for field in FIELDS if field not in ("schedule", "delivery"))
"""Fields of which another value makes another definition, and a right one."""
ITEMS: Final = st.tuples(
    st.sampled_from(("new", "new", "taken", "twice", "wrong")), definitions(), st.sampled_from(FLAWS)
)
"""What becomes of one task of a batch, its definition, and what is wrong with it."""


class Creating(World):
    """CreateTask and BatchCreateTasks."""

    def register(
        self, namespace: str, text: str, given: task_pb2.Task, *, is_reused: bool = False
    ) -> tuple[str, str]:
        """Registers a task, and answers its name."""
        space, task_id = self.new_name(namespace, text, is_reused=is_reused)
        sent = placed(given, self.now, space if is_reused else namespace, task_id)
        answer = self.call("CreateTask", task_service_pb2.CreateTaskRequest(task=sent))
        known = self.learn(answer.task, sent)
        if known.next_at is not None and known.due > self.now:
            self.check_fires(known, answer)
        self.check_after(known)
        return known.name

    @initialize(
        target=tasks,
        namespace=SPACES,
        wished=st.lists(definitions(), min_size=1, max_size=4),
    )
    def begin(self, namespace: str, wished: list[task_pb2.Task]) -> MultipleResults[tuple[str, str]]:
        """The tasks that an example begins with."""
        return multiple(*(self.register(namespace, "first ", given) for given in wished))

    @rule(target=tasks, namespace=SPACES, text=TEXTS, given=definitions(), is_reused=st.booleans())
    def create(self, namespace: str, text: str, given: task_pb2.Task, is_reused: bool) -> tuple[str, str]:
        """A new task, at times under an id that became free."""
        return self.register(namespace, text, given, is_reused=is_reused)

    @rule(target=tasks, namespace=SPACES, given=definitions())
    def create_without_id(self, namespace: str, given: task_pb2.Task) -> tuple[str, str]:
        """A new task, twice with one request id."""
        self.named += 1
        sent = placed(given, self.now, namespace)
        request = task_service_pb2.CreateTaskRequest(task=sent, request_id=f"request {self.named}")
        answer = self.call("CreateTask", request)
        known = self.learn(answer.task, sent)
        again = self.call("CreateTask", request)
        self.check(again.task.id == answer.task.id, "the same request id registers another task")
        sent.id = answer.task.id  # from now on its name, with or without that request id
        self.check_after(known)
        return known.name

    @rule(name=tasks)
    def create_again(self, name: tuple[str, str]) -> None:
        """The same call once more."""
        known = self.find(name)
        if known is None:
            return
        request = task_service_pb2.CreateTaskRequest(task=known.sent or known.task)
        try:
            answer = self.caller.call("CreateTask", request)
        except Refused as refused:
            # A schedule that has passed by now is not one to register any more.
            self.check_refusal(refused, Code.INVALID_ARGUMENT, "task.schedule", "task.schedule.at")
        else:
            self.same_task(answer.task, known, "the same call once more")
        self.recheck(known)

    @rule(name=tasks, given=st.sampled_from(OTHERS).flatmap(lambda field: parts((field,))))
    def create_another(self, name: tuple[str, str], given: task_pb2.Task) -> None:
        """Another definition under an id that is in use."""
        known = self.find(name)
        if known is None:
            return
        sent = task_pb2.Task()
        sent.CopyFrom(known.sent or known.task)
        before = with_defaults(sent)
        for descriptor, _ in given.ListFields():
            sent.ClearField(descriptor.name)
        sent.MergeFrom(given)
        is_wrong = sent.retry.max_attempts > 1 and sent.delivery == task_pb2.DELIVERY_MODE_AT_MOST_ONCE
        is_long_past = sent.schedule.HasField("at") and sent.schedule.at.ToMicroseconds() < self.now - DAY
        is_same = with_defaults(sent) == before  # to the definition; the namespace may have said otherwise
        if is_same or is_wrong or is_long_past:
            return
        try:
            self.caller.call("CreateTask", task_service_pb2.CreateTaskRequest(task=sent))
        except Refused as refused:
            if refused.code is not Code.INVALID_ARGUMENT:
                self.check_refusal(refused, Code.ALREADY_EXISTS)
            else:
                self.check_refusal(refused, Code.INVALID_ARGUMENT, "task.schedule")
        else:
            self.check(False, "another definition is taken for the same")
        self.recheck(known)

    @rule(
        target=tasks, namespace=SPACES, text=TEXTS, items=st.lists(ITEMS, min_size=1, max_size=5), taken=tasks
    )
    def create_batch(
        self,
        namespace: str,
        text: str,
        items: list[tuple[str, task_pb2.Task, Flaw]],
        taken: tuple[str, str],
    ) -> MultipleResults[tuple[str, str]]:
        """Right ones, wrong ones, one that exists, one name twice: each by itself."""
        request = task_service_pb2.BatchCreateTasksRequest()
        wanted: list[tuple[str, str]] = []
        existing = self.find(taken)
        for number, (kind, given, flaw) in enumerate(items):
            sent = placed(given, self.now, namespace, self.new_name(namespace, text)[1])
            if kind == "wrong":
                flaw.put(sent)
                wanted.append((kind, f"tasks[{number}].{flaw.path}"))
            elif kind == "taken" and existing is not None:
                sent.namespace, sent.id = existing.name
                sent.payload = b"another definition"
                wanted.append((kind, ""))
            elif kind == "twice" and wanted and wanted[-1][0] == "new":
                sent.CopyFrom(request.tasks[-1])
                wanted.append((kind, ""))
            else:
                wanted.append(("new", ""))
            request.tasks.append(sent)
        answer = self.call("BatchCreateTasks", request)
        self.check(len(answer.results) == len(wanted), "as many results as tasks")
        made: list[Known] = []
        for (kind, field), sent, result in zip(wanted, request.tasks, answer.results, strict=True):
            if kind == "new":
                self.check(result.HasField("task"), f"{short(sent)} is refused: {result.error.message}")
                made.append(self.learn(result.task, sent))
            elif kind == "twice":
                self.same_task(result.task, made[-1], "one name twice")
            else:
                self.check(result.HasField("error"), f"{short(sent)} is answered, though {kind} {field}")
                code = Code.INVALID_ARGUMENT if kind == "wrong" else Code.ALREADY_EXISTS
                self.check(result.error.code == code.value[0], f"{result.error.message}, though {kind}")
                is_named = not field or field in violations(result.error.details)
                self.check(is_named, f"{result.error} does not name {field}")
        self.settle()
        for known in [*made, *([existing] if existing is not None else [])]:
            self.recheck(known)
        for sent, (kind, _) in zip(request.tasks, wanted, strict=True):
            if kind == "wrong" and sent.id:
                self.check_gone((sent.namespace, sent.id))
        return multiple(*(known.name for known in made))
