"""Ids made from request ids."""

from __future__ import annotations

import pytest

from mainspring.server.errors import InvalidField
from mainspring.server.rpc.repeated_calls import request_task_id, task_of_request
from mainspring.v1 import task_pb2, task_service_pb2


def _request(request_id: str = "", **fields: str) -> task_service_pb2.CreateTaskRequest:
    return task_service_pb2.CreateTaskRequest(task=task_pb2.Task(**fields), request_id=request_id)


def test_an_id_is_made_from_the_namespace_and_the_request_id() -> None:
    assert task_of_request(_request("r")).id == "553b265f1ba61123d9addba1e66a84a8"
    assert task_of_request(_request("r", namespace="default")).id == task_of_request(_request("r")).id
    pairs = [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""), ("a", "b"), ("ä", "b")]
    assert len({request_task_id(*pair) for pair in pairs}) == len(pairs)


def test_without_a_request_id_the_task_is_as_it_came() -> None:
    request = _request(id="t")
    assert task_of_request(request) is request.task
    given = _request("r", handler="h")
    assert task_of_request(given).handler == "h"
    assert given.task.id == "", "the caller's message stays as it is"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (_request("r", id="t"), "request_id"),
        (_request("r" * 201), "request_id"),
        (task_service_pb2.CreateTaskRequest(request_id="r"), "task"),
    ],
)
def test_a_wrong_request_is_refused(request_: task_service_pb2.CreateTaskRequest, field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        task_of_request(request_)
    assert refused.value.field == field
