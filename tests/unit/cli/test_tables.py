"""Tables: the words that people read, and nothing in them that could steer a terminal."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st
from unit.cli.samples import BOUNDED, CRON, EXECUTION, NOON, TASK

from mainspring.cli.tables import (
    EXECUTION_COLUMNS,
    NOTHING,
    TASK_COLUMNS,
    bytes_words,
    created_task_details,
    execution_details,
    execution_row,
    lateness_words,
    task_details,
    task_row,
    time_zone_databases,
)
from mainspring.cli.visible import visible
from mainspring.client import At, CreatedTask, Node


def test_rows_fit_their_columns() -> None:
    assert dict(zip(TASK_COLUMNS, task_row(TASK, utc=True), strict=True)) == {
        "ID": "daily",
        "HANDLER": "report",
        "SCHEDULE": "every 1h30m",
        "STATE": "ACTIVE",
        "NEXT": "2030-06-01T12:00:00Z",
        "LAST": "2030-06-01T12:00:00Z",
    }
    assert dict(zip(EXECUTION_COLUMNS, execution_row(EXECUTION, utc=True), strict=True)) == {
        "TASK": "daily",
        "SCHEDULED": "2030-06-01T12:00:00Z",
        "STATE": "FAILED",
        "ATTEMPT": "2",
        "LATENESS": "3.5 ms",
        "EXECUTOR": "executor-1",
        "REASON": "12 scheduled times until 2030-06-01T12:00:00.007Z: no paper",
    }


def test_details_tell_everything() -> None:
    execution = dict(execution_details(EXECUTION, utc=True))
    assert execution["saved"] == "2030-06-01T12:00:00.006Z"
    assert execution["result"] == "out"
    assert execution["stands for"] == "12 scheduled times, the last at 2030-06-01T12:00:00.007Z"
    task = dict(task_details(TASK, utc=True))
    assert task["partition"] == "17"
    assert task["executions"] == "1,234"
    assert task["delivery"] == "at most once"
    assert task["schedule"] == "every 1h30m from 2030-06-01T12:00:00Z"
    assert task["next"] == "2030-06-01T12:00:00.003Z"
    assert task["payload"] == "5 bytes, not text: 00 ff 70 61 79"


def test_a_row_tells_the_kind_of_schedule_without_its_bounds() -> None:
    rows = [
        task_row(replace(TASK, schedule=schedule), utc=True)[2]
        for schedule in (At(NOON), BOUNDED, CRON, None)
    ]
    assert rows == [
        "once",
        "every 1h phase 20m",
        "cron 0 9 * * * and 1 more (Europe/Berlin, gap skip, repeat both)",
        "of a kind that this version does not know",
    ]


def test_a_created_task_tells_what_its_schedule_means() -> None:
    created = CreatedTask(
        **{field.name: getattr(TASK, field.name) for field in fields(TASK)}, meaning="Odd\x1b."
    )
    details = created_task_details(created, utc=True)
    assert [label for label, _ in details].index("meaning") == [label for label, _ in details].index(
        "schedule"
    ) + 1
    assert dict(details)["meaning"] == "Odd\\x1b."
    assert [pair for pair in details if pair[0] != "meaning"] == task_details(TASK, utc=True)


def test_nodes_are_grouped_by_their_time_zone_database() -> None:
    nodes = [
        Node(f"n{number}", "a:1", "1", True, 0, False, (), release)
        for number, release in enumerate(["2026f", "", "2026a", "2026f"])
    ]
    assert time_zone_databases(nodes) == {"2026f": ["n0", "n3"], "2026a": ["n2"]}


def test_lateness_is_unknown_before_the_pick_up() -> None:
    assert lateness_words(replace(EXECUTION, pick_up_time=None)) == NOTHING


def test_long_bytes_are_cut_between_letters() -> None:
    assert bytes_words(b"") == NOTHING
    assert bytes_words("ä".encode() * 3) == "äää"
    assert bytes_words(b"a" + "ä".encode() * 800) == f"a{'ä' * 499} ... (1,601 bytes; --json shows all)"
    assert bytes_words(bytes(range(128, 192))).startswith("64 bytes, not text: 80 81 ")


@given(st.text())
def test_no_control_character_reaches_a_terminal(text: str) -> None:
    assert visible(text).isprintable()


def test_letters_of_any_language_stay() -> None:
    assert visible("grüße 你好\x1b[31m\n") == "grüße 你好\\x1b[31m\\n"
