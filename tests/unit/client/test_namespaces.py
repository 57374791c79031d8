"""Namespaces: defaults survive the way there and back, and an update names what it says and nothing else."""

import re
from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.client.policy_strategies import POLICIES
from unit.client.schedule_strategies import DURATIONS

from mainspring.client import Delivery, Namespace, NamespaceUpdate, NewTask, RetryPolicy, TaskDefaults
from mainspring.client.namespace_convert import (
    defaults_to_proto,
    namespace_from_proto,
    namespace_update_to_proto,
)
from mainspring.v1 import namespace_service_pb2 as pb

VALUES: dict[str, st.SearchStrategy[object]] = {
    "delivery": st.none() | st.sampled_from([delivery for delivery in Delivery if delivery.value]),
    **POLICIES,
}


def test_they_have_the_names_of_the_api_and_of_tasks() -> None:
    names = [each.name for each in fields(TaskDefaults)]
    assert names == [field.name for field in pb.TaskDefaults.DESCRIPTOR.fields]
    assert set(names) <= {each.name for each in fields(NewTask)}
    assert [each.name for each in fields(NamespaceUpdate)] == ["retention", *names]
    assert {each.name for each in fields(Namespace)} == {f.name for f in pb.Namespace.DESCRIPTOR.fields}


@given(st.builds(TaskDefaults, **VALUES))  # type: ignore[arg-type]
def test_defaults_survive_the_way_there_and_back(defaults: TaskDefaults) -> None:
    sent = pb.Namespace(name="a", task_defaults=defaults_to_proto(defaults), etag="v1")
    namespace = namespace_from_proto(pb.Namespace.FromString(sent.SerializeToString()))
    assert (namespace.task_defaults, namespace.etag, namespace.create_time) == (defaults, "v1", None)


@given(st.fixed_dictionaries({}, optional={**VALUES, "retention": st.none() | DURATIONS}))
def test_the_mask_names_what_is_said_and_the_message_has_its_values(said: dict[str, object]) -> None:
    update = NamespaceUpdate(**said)  # type: ignore[arg-type]
    if not said:
        with pytest.raises(ValueError, match="say what is to change"):
            namespace_update_to_proto("a", update)
        return
    request = namespace_update_to_proto("a", update)
    paths = {path.removeprefix("task_defaults.") for path in request.update_mask.paths}
    assert paths == said.keys()
    namespace = namespace_from_proto(request.namespace)
    defaults = {name: value for name, value in said.items() if name != "retention"}
    assert namespace.task_defaults == TaskDefaults(**defaults)  # type: ignore[arg-type]
    assert namespace.retention == (said.get("retention") or timedelta())


def test_mistakes_show_where_they_are_made() -> None:
    with pytest.raises(TypeError, match="delivery must be Delivery or None"):
        TaskDefaults(delivery=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="retry must be RetryPolicy or None"):
        TaskDefaults(retry=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keep_executions must be at least 1"):
        NamespaceUpdate(keep_executions=0)
    with pytest.raises(TypeError, match="retention must be timedelta or None"):
        NamespaceUpdate(retention=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=re.escape("delivery is Delivery.UNSPECIFIED")):
        defaults_to_proto(TaskDefaults(delivery=Delivery.UNSPECIFIED, retry=RetryPolicy()))
