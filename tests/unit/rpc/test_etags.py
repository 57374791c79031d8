"""Which calls an etag lets pass: those on the state that it names, and those that are repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mainspring.server.core.life_cycle import (
    StateChange,
    is_being_removed,
    with_removal_begun,
    with_state_changed,
)
from mainspring.server.core.model import Task, TaskRef, TaskState
from mainspring.server.errors import StaleEtag
from mainspring.server.rpc.convert import etag_of
from mainspring.server.rpc.task_changes import NamedTask

REF = TaskRef(3, bytes(16))
TASK = Task(
    ref=REF,
    namespace="default",
    task_id="t",
    handler="noop",
    payload=b"",
    schedule="",
    definition_hash=b"",
    state=TaskState.ACTIVE,
    version=4,
    scheduled_at=90,
    due_at=90,
    last_scheduled_at=None,
    created_at=1,
    updated_at=2,
    execution_count=0,
)
NAMED = NamedTask(REF, "default/t", etag=etag_of(TASK))


def test_the_state_that_it_names_passes_whatever_the_call_wants() -> None:
    NAMED.check(TASK, lambda: False)
    NamedTask(REF, "default/t").check(replace(TASK, version=9), lambda: False)


def test_the_next_state_passes_when_it_is_what_the_call_wants() -> None:
    changed = replace(TASK, version=5)
    NAMED.check(changed, lambda: True)
    with pytest.raises(StaleEtag):
        NAMED.check(changed, lambda: False)
    for other in (replace(TASK, version=6), replace(TASK, version=3), replace(changed, created_at=7)):
        with pytest.raises(StaleEtag):
            NAMED.check(other, lambda: True)


def test_a_removal_that_has_begun_goes_on_and_anothers_cancel_is_none() -> None:
    removed = with_removal_begun(TASK, now=10)
    assert removed is not None
    NAMED.check(removed, lambda: is_being_removed(removed))
    cancelled = with_state_changed(TASK, StateChange.CANCEL, now=10)
    assert cancelled is not None
    with pytest.raises(StaleEtag):
        NAMED.check(cancelled, lambda: is_being_removed(cancelled))
    assert with_removal_begun(cancelled, now=11) is None
