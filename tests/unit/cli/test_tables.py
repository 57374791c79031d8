"""Tables: the words that people read, and nothing in them that could steer a terminal."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st
from unit.cli.samples import BOUNDED, CRON, EXECUTION, EXPLANATION, NOON, TASK

from mainspring.cli.tables import (
    EXECUTION_COLUMNS,
    NOTHING,
    STAGE_COLUMNS,
    TASK_COLUMNS,
    bytes_words,
    execution_details,
    execution_row,
    explanation_details,
    lateness_words,
    scheduled_task_details,
    stage_row,
    task_details,
    task_row,
    time_zone_databases,
)
from mainspring.cli.visible import visible
from mainspring.client import At, Node, ScheduledTask


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
    assert execution["origin"] == "catch up"
    assert (execution["failures"], execution["error kind"]) == ("2", "ValueError")
    assert execution["retry at"] == "2030-06-01T12:00:00.008Z"
    assert (execution["progress"], execution["progress at"]) == ("page 3", "2030-06-01T12:00:00.004750Z")
    task = dict(task_details(TASK, utc=True))
    assert (task["note"], task["changed by"], task["etag"]) == ("moving house", "ada", "v3")
    assert (task["labels"], task["overlap"]) == ("team=billing, tier=1", "buffer one")
    assert task["misfire"] == "all of the last 6h, at most 1,000"
    assert task["retry"].startswith("up to 5 attempts, 10s apart")
    assert task["timeouts"] == "start 1m, run 2h, heartbeat 30s"
    assert (task["objective"], task["keep"]) == ("2s500ms", "1,000 executions")
    assert task["partition"] == "17"
    assert task["executions"] == "1,234"
    assert task["delivery"] == "at most once"
    assert task["schedule"] == "every 1h30m from 2030-06-01T12:00:00Z"
    assert task["next"] == "2030-06-01T12:00:00.003Z"
    assert task["payload"] == "5 bytes, not text: 00 ff 70 61 79"


def test_what_a_task_does_not_have_is_a_dash() -> None:
    bare = replace(
        TASK,
        labels={},
        misfire=None,
        overlap=None,
        retry=None,
        timeouts=None,
        lateness_objective=None,
        note="",
    )
    details = dict(task_details(replace(bare, keep_executions=None, changed_by="", etag=""), utc=True))
    dashes = {label for label, words in details.items() if words == NOTHING}
    assert dashes == {"labels", "misfire", "overlap", "retry", "timeouts", "objective", "keep"} | {
        *("note", "changed by", "etag"),
    }


def test_an_explanation_tells_the_answer_and_each_stage() -> None:
    assert explanation_details(EXPLANATION, utc=True) == [
        ("answer", "It failed twice."),
        ("scheduled", "2030-06-01T12:00:00Z"),
        ("state", "FAILED"),
        ("lateness", "3.5 ms"),
        ("objective", "10s"),
        ("broken by", "claimed"),
    ]
    rows = [dict(zip(STAGE_COLUMNS, stage_row(stage, utc=True), strict=True)) for stage in EXPLANATION.stages]
    assert rows == [
        {"STAGE": "due", "TIME": "2030-06-01T12:00:00.001Z", "TOOK": NOTHING},
        {"STAGE": "claimed", "TIME": "2030-06-01T12:00:00.002Z", "TOOK": "1.0 ms"},
    ]
    none = replace(EXPLANATION, execution=None, lateness=None, lateness_objective=None, broken_stage="")
    assert [words for _, words in explanation_details(none, utc=True)] == ["It failed twice.", *[NOTHING] * 5]


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
    created = ScheduledTask(
        **{field.name: getattr(TASK, field.name) for field in fields(TASK)}, meaning="Odd\x1b."
    )
    details = scheduled_task_details(created, utc=True)
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
