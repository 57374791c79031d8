"""Simulation files: what is valid, and that every fault is named with its file and key, never by a traceback."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling import draws

from mainspring.dev.simulate.config import (
    MAX_SECONDS,
    MAX_TASKS,
    Cron,
    Event,
    Fixed,
    Herd,
    Interval,
    Lognormal,
    Rate,
    Spread,
    Uniform,
)
from mainspring.dev.simulate.plan import plan_tasks
from mainspring.dev.simulate.reading import (
    MAX_FILE_BYTES,
    BadFileError,
    example_names,
    find_text,
    parse,
)
from mainspring.dev.simulate.timeline import steps

HERD = '[[load]]\nname = "h"\nschedule = "herd"\ntasks = 10\nat_s = 2\n'
EVERYTHING = """
[simulation]
title = "All of it"
seconds = 20
seed = 7
lead_s = 2
lateness_bound_s = 8.5
[nodes]
count = 2
partitions = 8
session_s = 2
[executors]
count = 1
capacity = 5
[[load]]
name = "a"
schedule = "spread"
tasks = 10
from_s = 1
until_s = 19
duration = { kind = "fixed", ms = 5 }
[[load]]
name = "b"
schedule = "rate"
per_s = 2.5
failures = 0.25
duration = { kind = "uniform", min_ms = 5, max_ms = 50 }
[[load]]
name = "c"
schedule = "herd"
tasks = 3
at_s = 4
duration = { kind = "lognormal", median_ms = 20 }
[[load]]
name = "d"
schedule = "interval"
tasks = 4
every_min_s = 1
every_max_s = 3
[[load]]
name = "e"
schedule = "cron"
tasks = 5
expressions = ["*/5 * * * * *", "* * * * *"]
zones = ["Europe/Berlin", "UTC"]
[[event]]
at_s = 9
what = "node dies"
which = "node-2"
[[event]]
at_s = 5
what = "node joins"
[[event]]
at_s = 6
what = "executor joins"
[[event]]
at_s = 10
what = "executor dies"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(BadFileError) as caught:
        parse(text, "my.toml")
    return str(caught.value).splitlines()


def test_every_key_is_taken_over() -> None:
    simulation = parse(EVERYTHING, "my.toml")
    assert simulation.simulation.title == "All of it"
    assert (simulation.simulation.seconds, simulation.simulation.seed) == (20.0, 7)
    assert (simulation.simulation.lead_s, simulation.simulation.lateness_bound_s) == (2.0, 8.5)
    assert (simulation.nodes.count, simulation.nodes.partitions, simulation.nodes.session_s) == (2, 8, 2.0)
    assert (simulation.executors.count, simulation.executors.capacity) == (1, 5)
    assert simulation.load == (
        Spread(name="a", tasks=10, from_s=1.0, until_s=19.0, duration=Fixed(ms=5.0)),
        Rate(name="b", per_s=2.5, failures=0.25, duration=Uniform(min_ms=5.0, max_ms=50.0)),
        Herd(name="c", tasks=3, at_s=4.0, duration=Lognormal(median_ms=20.0)),
        Interval(name="d", tasks=4, every_min_s=1, every_max_s=3),
        Cron(
            name="e",
            tasks=5,
            expressions=("*/5 * * * * *", "* * * * *"),
            zones=("Europe/Berlin", "UTC"),
        ),
    )
    assert simulation.event[0] == Event(at_s=9.0, what="node dies", which="node-2")
    assert simulation.task_count == 10 + 50 + 3 + 4 + 5


def test_steps_are_in_order_and_name_everybody() -> None:
    assert [(step.at_s, step.what, step.member) for step in steps(parse(EVERYTHING, "my.toml"))] == [
        (5, "node joins", "node-3"),
        (6, "executor joins", "executor-2"),
        (9, "node dies", "node-2"),
        (10, "executor dies", "executor-1"),
    ]


FAULTS = [
    ("", "load: at least one [[load]] is needed, or nothing would be due"),
    ("x = [", "is not TOML: Invalid value (at end of document)"),
    ("x = " + "9" * 5_000, "is not TOML: Exceeds the limit"),
    ("x = " + "[" * 5_000 + "]" * 5_000, "is nested too deeply"),
    (HERD + "[node]\ncount = 1", "node: is not a key; did you mean nodes?"),
    (HERD + "[nodes]\ncuont = 1", "nodes.cuont: is not a key; did you mean count?"),
    (
        HERD + '[nodes]\n"a b\\n" = 1',
        "nodes.'a b\\n': is not a key; known are count, partitions, session_s",
    ),
    (HERD + "[nodes]\ncount = 2.0", "nodes.count: 2.0 is not a whole number"),
    (HERD + "[nodes]\ncount = true", "nodes.count: True is not a whole number"),
    (HERD + "[nodes]\ncount = 17", "nodes.count: 17 is not between 1 and 16"),
    (HERD + "[nodes]\ncount = " + "9" * 400, "nodes.count: 99999"),
    (HERD + "[simulation]\nseconds = nan", "simulation.seconds: nan is not a number"),
    (HERD + "[simulation]\nseconds = inf", "simulation.seconds: inf is not a number"),
    (
        HERD + "[simulation]\nseconds = 1979-05-27",
        "simulation.seconds: datetime.date(1979, 5, 27) is not a number",
    ),
    (HERD + '[simulation]\ntitle = "a\\u001bb"', "simulation.title: holds a control character"),
    (HERD + "[simulation]\ntitle = 3", "simulation.title: 3 is not a text"),
    ("simulation = 3\n" + HERD, "simulation: is a whole number, not a table; write [simulation]"),
    ("[load]\nname = 'x'", "load: is a table, not a list of tables; write [[load]]"),
    ("load = [3]", "load[1]: is a whole number, not a table"),
    ("[[load]]\nname = 'x'", "load[1].schedule: is required; one of"),
    (HERD.replace('"herd"', '"hard"'), "load[1].schedule: 'hard' is not known; one of"),
    (HERD.replace("at_s = 2", ""), "load[1].at_s: is required for schedule 'herd'"),
    (HERD + "from_s = 1", "load[1].from_s: is not a key of schedule 'herd'; known are"),
    (HERD.replace("= 2", "= 30"), "load[1].at_s: 30 is not before the end of the time line (30)"),
    (HERD.replace('"h"', '""'), "load[1].name: '' is not 1 to 40 of A-Z a-z 0-9 . _ -"),
    (HERD + HERD, "load[2].name: 'h' is taken by another load"),
    (HERD + "failures = 1.5", "load[1].failures: 1.5 is not between 0 and 1"),
    (HERD + "duration = 5", "load[1].duration: is a whole number, not a table"),
    (HERD + "duration = { ms = 5 }", "load[1].duration.kind: is required; one of"),
    (HERD + 'duration = { kind = "fixed" }', "load[1].duration.ms: is required for kind 'fixed'"),
    (
        HERD + 'duration = { kind = "uniform", min_ms = 5, max_ms = 2 }',
        "load[1].duration.max_ms: 2 is below min_ms (5)",
    ),
    (
        HERD + 'duration = { kind = "lognormal", median_ms = 50, max_ms = 5 }',
        "load[1].duration.max_ms: 5 is below median_ms (50)",
    ),
    (
        HERD + '[[load]]\nname = "s"\nschedule = "spread"\ntasks = 1\nfrom_s = 5\nuntil_s = 5',
        "load[2].from_s: 5 is not before its end (5)",
    ),
    (
        HERD + '[[load]]\nname = "r"\nschedule = "rate"\nper_s = 1\nuntil_s = 31',
        "load[2].until_s: 31 is after the end of the time line (30)",
    ),
    (
        HERD + '[[load]]\nname = "i"\nschedule = "interval"\ntasks = 1\nevery_min_s = 3\nevery_max_s = 2',
        "load[2].every_max_s: 2 is below every_min_s (3)",
    ),
    (
        HERD + '[[load]]\nname = "c"\nschedule = "cron"\ntasks = 1\nexpressions = ["61 * * * *"]',
        "load[2].expressions: '61 * * * *' minute '61' is out of range 0-59",
    ),
    (
        HERD + '[[load]]\nname = "c"\nschedule = "cron"\ntasks = 1\nexpressions = ["@daily"]',
        "load[2].expressions: '@daily': the checker does not know this form",
    ),
    (
        HERD + '[[load]]\nname = "c"\nschedule = "cron"\ntasks = 1\nexpressions = ["0 0 30 2 *"]',
        "load[2].expressions: '0 0 30 2 *' never fires",
    ),
    (
        HERD + '[[load]]\nname = "c"\nschedule = "cron"\ntasks = 1\nexpressions = []',
        "load[2].expressions: [] is not a list of texts with one at least",
    ),
    (
        HERD
        + '[[load]]\nname = "c"\nschedule = "cron"\ntasks = 1\nexpressions = ["* * * * *"]\nzones = ["X/Y"]',
        "load[2].zones: 'X/Y' is not a time zone",
    ),
    (
        "".join(HERD.replace('"h"', f'"h{n}"').replace("= 10", f"= {MAX_TASKS}") for n in (1, 2)),
        "load: 200,000 tasks in all; at most 100,000 are allowed",
    ),
    (
        HERD + '[[event]]\nat_s = 1\nwhat = "node explodes"',
        "event[1].what: 'node explodes' is not known; one of",
    ),
    (HERD + '[[event]]\nat_s = 30\nwhat = "node dies"', "event[1].at_s: 30 is not before the end"),
    (
        HERD + '[[event]]\nat_s = 1\nwhat = "node dies"\nwhich = "node-9"',
        "event[1].which: there is no 'node-9' at 1 s; there are node-1, node-2, node-3",
    ),
    (
        HERD + '[[event]]\nat_s = 1\nwhat = "node joins"\nwhich = "node-9"',
        "event[1].which: makes no sense for somebody who joins",
    ),
    (
        HERD + '[executors]\ncount = 1\n[[event]]\nat_s = 1\nwhat = "executor dies"',
        "event[1].what: leaves no executor, and nothing could run any more",
    ),
    (
        HERD + "[nodes]\ncount = 1\n"
        '[[event]]\nat_s = 1\nwhat = "node joins"\n[[event]]\nat_s = 2\nwhat = "node dies"',
        "event[2].which: node-1 is the last of the first nodes",
    ),
]


@pytest.mark.parametrize(("text", "wanted"), FAULTS, ids=[wanted.split(":")[0][:30] for _, wanted in FAULTS])
def test_a_fault_is_named_with_its_file_and_key(text: str, wanted: str) -> None:
    lines = problems(text)
    assert len(lines) == 1
    assert lines[0].startswith(f"my.toml: {wanted}")
    assert len(lines[0]) < 250


def test_every_fault_of_a_file_is_named_at_once() -> None:
    text = HERD.replace("tasks = 10", "tasks = 0") + '[nodes]\ncount = "3"\n[executors]\ncapacity = 0'
    assert [line.split(": ")[1] for line in problems(text)] == [
        "nodes.count",
        "executors.capacity",
        "load[1].tasks",
    ]


def test_a_file_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    binary, large = tmp_path / "binary.toml", tmp_path / "large.toml"
    binary.write_bytes(b"\xff\xfe")
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    for file, wanted in (
        (
            str(tmp_path / "none.toml"),
            "there is no such file, and no example of that name; examples: distributed",
        ),
        (str(tmp_path), "Is a directory"),
        (str(binary), "is not text in UTF-8"),
        (str(large), "larger than 1,000,000 bytes"),
        ("a\0b", "embedded null byte"),
    ):
        with pytest.raises(BadFileError) as caught:
            find_text(file)
        assert str(caught.value).startswith(f"{file}: {wanted}")
        assert "\n" not in str(caught.value)


def test_the_examples_are_valid_and_end_within_a_minute() -> None:
    assert example_names() == ["distributed-cron", "notification-burst", "reminders"]
    for name in example_names():
        file, text = find_text(name)
        simulation = parse(text, file)
        general = simulation.simulation
        # Start and evidence take some seconds more.
        assert general.lead_s + 1 + general.seconds + general.lateness_bound_s + 0.5 <= 56, name
        assert f"mainspring simulate {name}" in text
        assert simulation.task_count >= 600


def test_a_file_of_the_name_of_an_example_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reminders").write_text("# mine")
    assert find_text("reminders") == ("reminders", "# mine")


def test_another_length_moves_instants_in_proportion() -> None:
    simulation = parse(EVERYTHING, "my.toml").over(10)
    assert simulation.simulation.seconds == 10
    spread, rate, herd = simulation.load[:3]
    assert isinstance(spread, Spread)
    assert isinstance(herd, Herd)
    assert (spread.from_s, spread.until_s, herd.at_s) == (0.5, 9.5, 2.0)
    assert rate.task_count(10) == 25
    assert [event.at_s for event in simulation.event] == [4.5, 2.5, 3.0, 5.0]
    for seconds in (1, MAX_SECONDS + 1):
        with pytest.raises(ValueError, match="is not between 2 and 3600"):
            simulation.over(seconds)


# --- whatever a file holds ----------------------------------------------------------------------------------------------

SCALARS = (
    st.none().map(lambda _: {})
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.integers(0, 40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["herd", "spread", "cron", "uniform", "node dies", "node-1", "UTC", "* * * * *"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "ms", "min_ms", "name"]), inner)
    ),
    max_leaves=5,
)


def toml(value: Any) -> str:
    """A value inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(name)} = {toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A valid document in which a few keys are replaced, removed or new."""
    document = tomllib.loads(EVERYTHING)
    for _ in range(draw(st.integers(1, 4))):
        section = draw(st.sampled_from([*document]))
        table = document[section]
        if isinstance(table, list) and table:
            table = draw(st.sampled_from(table))
        change = draw(st.sampled_from(["replace", "remove", "add", "section"]))
        if change == "section" or not isinstance(table, dict) or not table:
            document[section] = draw(VALUES)
            continue
        name = draw(st.sampled_from([*table]))
        if change == "remove":
            del table[name]
        else:
            table[name if change == "replace" else draw(st.text(max_size=5))] = draw(VALUES)
    return "\n".join(f"{name} = {toml(value)}" for name, value in document.items())


@settings(deadline=None, max_examples=draws(300))
@given(damaged() | st.text(max_size=200))
def test_a_text_is_a_simulation_that_can_be_planned_or_has_its_faults_named(text: str) -> None:
    faults: list[str] = []
    try:
        simulation = parse(text, "my.toml")
    except BadFileError as error:
        faults, simulation = str(error).splitlines(), None
    assert all(line.startswith("my.toml: ") for line in faults)
    if simulation is None:
        assert faults
        return
    assert len(plan_tasks(simulation, 1_800_000_000_000_000)) == simulation.task_count
    assert len(steps(simulation)) == len(simulation.event)
