"""Calls with one thing wrong: each is refused with the right status, names the field, and changes nothing."""

from __future__ import annotations

from typing import Final

from fuzz.caller import Code, Refused
from fuzz.definitions import NAMESPACES, definitions, placed
from fuzz.flaws import BAD_NAMES, FLAWS, SCHEDULE_FLAWS, Flaw
from fuzz.model import Known
from fuzz.world import World, tasks
from fuzz.wrong_calls import METHODS, SERVICES, WRONG_CALLS, Target, WrongCall, right_request
from hypothesis import strategies as st
from hypothesis.stateful import rule

from mainspring.v1 import task_pb2, task_service_pb2

NO_MESSAGES: Final = (b"\x0a\x7f", b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x12\x02\xc3\x28", b"\x0b")
"""Cut short, no tags, no UTF-8 in the first and in the second field, a group without an end."""


class Refusing(World):
    """Every method, wrongly."""

    def target(self, name: tuple[str, str]) -> tuple[Known | None, Target]:
        """What a wrong call is about, while that may be changed."""
        known = self.find(name)
        is_live = known is not None and known.is_live
        return known if is_live else None, Target(*name, self.now)

    @rule(
        namespace=st.sampled_from(NAMESPACES),
        given=definitions(),
        flaw=st.sampled_from(FLAWS),
        with_name=st.sampled_from((None, None, None, "id", "namespace")),
        bad_name=st.sampled_from(BAD_NAMES),
    )
    def create_wrong(
        self, namespace: str, given: task_pb2.Task, flaw: Flaw, with_name: str | None, bad_name: str
    ) -> None:
        """CreateTask with a wrong definition or name."""
        space, task_id = self.new_name(namespace, "wrong")
        request = task_service_pb2.CreateTaskRequest(task=placed(given, self.now, namespace, task_id))
        if with_name is None:
            flaw.put(request.task)
        else:
            setattr(request.task, with_name, bad_name)
        self.refused("CreateTask", request, Code.INVALID_ARGUMENT, f"task.{with_name or flaw.path}")
        self.check_gone((space, task_id))

    @rule(given=definitions(), request_id=st.sampled_from(("twice named", "r" * 201, "a\nb")))
    def create_with_two_names(self, given: task_pb2.Task, request_id: str) -> None:
        """CreateTask with a request id that is wrong, or beside an id."""
        request = task_service_pb2.CreateTaskRequest(
            task=placed(given, self.now, "", self.new_name("", "two")[1]), request_id=request_id
        )
        self.refused("CreateTask", request, Code.INVALID_ARGUMENT, "request_id")
        self.check_gone(("default", request.task.id))

    @rule(name=tasks, flaw=st.sampled_from(FLAWS), is_retried_at_most_once=st.booleans())
    def update_wrong(self, name: tuple[str, str], flaw: Flaw, is_retried_at_most_once: bool) -> None:
        """UpdateTask with a wrong definition, after a field that is right."""
        known, _ = self.target(name)
        if known is None:
            return
        request = task_service_pb2.UpdateTaskRequest()
        request.task.namespace, request.task.id = name
        request.task.handler, request.task.labels["half"] = "another", "done"
        request.update_mask.paths.extend(("handler", "labels"))
        field = f"task.{flaw.path}"
        if is_retried_at_most_once:
            request.task.delivery = task_pb2.DELIVERY_MODE_AT_MOST_ONCE
            request.task.retry.max_attempts = 2
            request.update_mask.paths.extend(("delivery", "retry"))
            field = "task.retry"
        else:
            flaw.put(request.task)
            if flaw.field not in request.update_mask.paths:
                request.update_mask.paths.append(flaw.field)
        self.refused("UpdateTask", request, Code.INVALID_ARGUMENT, field)
        self.check_after(known)

    @rule(flaw=st.sampled_from(SCHEDULE_FLAWS))
    def preview_wrong(self, flaw: Flaw) -> None:
        """PreviewSchedule of a wrong schedule."""
        request = task_service_pb2.PreviewScheduleRequest(id="p")
        if flaw.wrong.HasField("schedule"):
            request.schedule.CopyFrom(flaw.wrong.schedule)
        self.refused("PreviewSchedule", request, Code.INVALID_ARGUMENT, flaw.path)

    @rule(name=tasks, wrong=st.sampled_from(WRONG_CALLS))
    def call_wrong(self, name: tuple[str, str], wrong: WrongCall) -> None:
        """Any method with one thing wrong."""
        known, target = self.target(name)
        if known is None:
            return
        request = right_request(wrong.method, target)
        wrong.put(request, target)
        self.refused(wrong.method, request, wrong.code, *([wrong.field] if wrong.field else []))
        self.check_after(known)

    @rule(name=tasks, method=st.sampled_from(METHODS), body=st.sampled_from(NO_MESSAGES))
    def call_with_no_message(self, name: tuple[str, str], method: str, body: bytes) -> None:
        """Any method with bytes behind a right request that make it none."""
        known, target = self.target(name)
        whole = right_request(method, target).SerializeToString() + body
        try:
            type(right_request(method, target)).FromString(whole)
        except Exception:  # whatever protobuf calls it
            pass
        else:
            return  # a field that this method does not have: to be ignored
        try:
            self.caller.call_raw(f"/{SERVICES[method]}/{method}", whole)
        except Refused as refused:
            self.check_refusal(refused, Code.INVALID_ARGUMENT, "request")
        else:
            self.check(False, "what is no message is answered")
        if known is not None:
            self.check_after(known)
