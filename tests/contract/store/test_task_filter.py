"""Listing and counting the tasks that a filter names."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from contract.store.builders import SECOND, T0, cancel, change, new_task

from mainspring.server.core.life_cycle import StateChange
from mainspring.server.core.model import NewTask, TaskState
from mainspring.server.core.task_filter import NO_FILTER, TaskFilter
from mainspring.server.persistence.store import Store


def _labelled(task_id: str, labels: dict[str, str], **fields: object) -> NewTask:
    text = json.dumps(labels, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if labels else ""
    return replace(new_task(task_id), labels=text, **fields)  # type: ignore[arg-type]


async def _ids(store: Store, only: TaskFilter, limit: int = 100) -> list[str]:
    found = await store.list_tasks("default", None, limit, with_payload=False, only=only)
    assert sum((await store.count_tasks("default", only)).values()) == len(found)
    assert [task.ref for task in found] == sorted(task.ref for task in found)
    return sorted(task.task_id for task in found)


async def test_each_restriction_names_its_tasks_and_all_together_name_what_fits_all(store: Store) -> None:
    await store.create_tasks(
        [
            _labelled("a", {"team": "red"}, handler="mail"),
            _labelled("b", {"team": "red", "tier": "1"}, handler="mail", scheduled_at=T0 + SECOND),
            _labelled("c", {"team": "blue"}, handler="Mail"),
            _labelled("d", {}, scheduled_at=T0 + 2 * SECOND),
            _labelled("e", {"team": "red"}, handler="mail"),
            replace(
                _labelled("f", {"team": "red"}), ref=new_task("f", namespace="other").ref, namespace="other"
            ),
        ]
    )
    (paused, ended) = (new_task("d").ref, new_task("e").ref)
    await change(store, paused, StateChange.PAUSE)
    await cancel(store, ended)

    assert await _ids(store, NO_FILTER) == ["a", "b", "c", "d", "e"]
    assert await _ids(store, TaskFilter(handler="mail")) == ["a", "b", "e"]
    assert await _ids(store, TaskFilter(states=(TaskState.PAUSED, TaskState.CANCELLED))) == ["d", "e"]
    assert await _ids(store, TaskFilter(next_from_at=T0 + SECOND)) == ["b", "d"]
    assert await _ids(store, TaskFilter(next_until_at=T0 + SECOND)) == ["a", "c"]
    assert await _ids(store, TaskFilter(labels=(("team", "red"),))) == ["a", "b", "e"]
    assert await _ids(store, TaskFilter(labels=(("team", "red"), ("tier", "1")))) == ["b"]
    every = TaskFilter((TaskState.ACTIVE,), "mail", (("team", "red"),), T0, T0 + SECOND)
    assert await _ids(store, every) == ["a"]
    assert await store.count_tasks("default") == {
        TaskState.ACTIVE: 3,
        TaskState.PAUSED: 1,
        TaskState.CANCELLED: 1,
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a", "b"),
        ("a", ""),
        ("a,b", '"'),
        ('x,"a', "b"),
        ('"', "a"),
        ("a", '","a":"b'),
        ("a", "100%"),
        ("%s", "a_b"),
        ("a", "back\\slash\\"),
        ("a", "it's"),
        ("ключ", "значение"),
        ("A", "b"),
    ],
)
async def test_a_label_is_found_by_its_key_and_value_and_by_nothing_alike(
    store: Store, key: str, value: str
) -> None:
    others = [
        {"z": f'{key}":"{value}'},
        {"z": f',"{key}":"{value}"'},
        {f'z,"{key}': value},
        {key: value + "."},
    ]
    others += [{key + ".": value}, {value or "?": key}, {key.swapcase(): value}, {}]
    others = [labels for labels in others if labels.get(key) != value]
    await store.create_tasks(
        [_labelled("first", {key: value, "zz": "1"}), _labelled("last", {"!": "1", key: value})]
        + [_labelled(f"other-{number}", labels) for number, labels in enumerate(others)]
    )
    assert await _ids(store, TaskFilter(labels=((key, value),))) == ["first", "last"]


async def test_filtered_pages_hold_every_task_once(store: Store) -> None:
    await store.create_tasks([_labelled(f"t{n}", {"odd": str(n % 2)}) for n in range(60)])
    only = TaskFilter(labels=(("odd", "1"),))
    found = []
    while page := await store.list_tasks(
        "default", found[-1].ref if found else None, 7, with_payload=False, only=only
    ):
        found += page
    assert sorted(task.task_id for task in found) == sorted(f"t{n}" for n in range(1, 60, 2))
