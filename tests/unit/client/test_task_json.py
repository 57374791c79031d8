"""Tasks as JSON: what a message can say of a task to register, a line can."""

import re

import pytest
from google.protobuf import json_format
from hypothesis import given
from unit.client.policy_strategies import NEW_TASKS

from mainspring.client import NewTask, new_task_from_json
from mainspring.client.convert import new_task_to_proto


@given(NEW_TASKS)
def test_every_task_is_read_as_it_was_written(new: NewTask) -> None:
    if new.task_id == "" or new.namespace == "":
        return
    text = json_format.MessageToJson(new_task_to_proto(new), indent=None, preserving_proto_field_name=True)
    assert new_task_from_json(text) == new


def test_what_only_the_server_says_is_ignored_and_what_is_left_out_is_open() -> None:
    line = '{"handler": "h", "schedule": {"delay": "1.5s"}, "state": "TASK_STATE_PAUSED", "etag": "v3", "note": null}'
    new = new_task_from_json(line)
    assert (new.handler, new.namespace, new.task_id, new.delivery) == ("h", "default", None, None)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "Failed to load JSON"),
        ("5", "Failed to parse JSON"),
        ('{"handler": "h"}', "schedule is required"),
        ('{"handlr": "h"}', 'no field named "handlr"'),
        ('{"handler": "h", "schedule": {"delay": "soon"}}', "schedule.delay|Couldn't parse duration"),
        ('{"handler": "h", "schedule": {"delay": "1s"}, "retry": {"max_attempts": -1}}', "max_attempts"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        new_task_from_json(line)


def test_a_complaint_is_one_line() -> None:
    with pytest.raises(ValueError, match=re.compile(r"\A[^\n]+\Z")):
        new_task_from_json('{"handlr": "h"}')
