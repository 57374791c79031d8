"""What calls made of each task: when it was paused, which payload it had, what was triggered, whether it was removed."""

from collections.abc import Iterable
from dataclasses import dataclass

from mainspring.testing.expected import FOR_EVER_AT
from mainspring.testing.history import AcknowledgedTask, TaskCall, TaskKey


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause of a task.

    Attributes:
        call: Which began it. `resume`: which ended it, None when none did.
        from_at: From when on it may have been paused. `until_at`: until when it may have been.
    """

    call: TaskCall
    resume: TaskCall | None

    @property
    def from_at(self) -> int:
        """The call may have taken effect as soon as it was sent."""
        return self.call.sent_at

    @property
    def until_at(self) -> int:
        """And its end when that was answered at the latest."""
        if self.resume is None or self.resume.acknowledged_at is None:
            return FOR_EVER_AT
        return self.resume.acknowledged_at


@dataclass(frozen=True, slots=True)
class Payload:
    """For how long a task may have had a payload: from when it was sent until another one was acknowledged."""

    mark: int
    from_at: int
    until_at: int
    replaced_by: TaskCall | None


class Lives:
    """The calls of a history by task, in the order in which they were sent."""

    def __init__(self, tasks: Iterable[AcknowledgedTask], calls: Iterable[TaskCall]) -> None:
        self.calls: dict[TaskKey, list[TaskCall]] = {}
        for call in sorted(calls, key=lambda call: call.sent_at):
            self.calls.setdefault(call.key, []).append(call)
        self.pauses = {key: pauses for key, of_task in self.calls.items() if (pauses := _pauses(of_task))}
        self.deletions = {
            call.key: call for of_task in self.calls.values() for call in of_task if call.kind == "delete"
        }
        self.triggers = {
            key: triggers
            for key, of_task in self.calls.items()
            if (triggers := [call for call in of_task if call.kind == "trigger"])
        }
        first_marks: dict[TaskKey, tuple[int, int]] = {}
        for task in tasks:
            if task.payload_mark is not None:
                first_marks.setdefault(task.key, (task.payload_mark, task.sent_at))
        self.payloads = {
            key: _payloads(mark, sent_at, self.calls.get(key, ()))
            for key, (mark, sent_at) in first_marks.items()
        }
        """Of the tasks of which somebody noted the first one."""

    def pauses_of(self, key: TaskKey, from_at: int, until_at: int) -> list[Pause]:
        """Pauses of a task that meet [from_at, until_at]."""
        return [
            pause
            for pause in self.pauses.get(key, ())
            if pause.from_at <= until_at and from_at <= pause.until_at
        ]

    def changes_until(self, key: TaskKey, until_at: int) -> list[TaskCall]:
        """Calls that end what was not sent yet, and that had been sent by an instant."""
        return [
            call
            for call in self.calls.get(key, ())
            if call.kind in ("pause", "update", "cancel", "delete") and call.sent_at <= until_at
        ]


def _pauses(calls: list[TaskCall]) -> list[Pause]:
    pauses: list[Pause] = []
    begun: TaskCall | None = None
    for call in calls:
        if call.kind == "pause" and begun is None:
            begun = call
        elif call.kind == "resume" and begun is not None:
            pauses.append(Pause(begun, call))
            begun = None
    return pauses if begun is None else [*pauses, Pause(begun, None)]


def _payloads(mark: int, sent_at: int, calls: Iterable[TaskCall]) -> list[Payload]:
    given = [(mark, sent_at)]
    updates = [call for call in calls if call.kind == "update" and call.payload_mark is not None]
    given += [(call.payload_mark or 0, call.sent_at) for call in updates]
    payloads: list[Payload] = []
    for index, (each, from_at) in enumerate(given):
        end = next((call for call in updates[index:] if call.acknowledged_at is not None), None)
        until_at = FOR_EVER_AT if end is None else end.acknowledged_at or FOR_EVER_AT
        payloads.append(Payload(each, from_at, until_at, end))
    return payloads
