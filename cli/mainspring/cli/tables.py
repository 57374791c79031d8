"""Values of the client SDK -> the words of tables, for people. PURE but for the machine's time zone."""

import codecs
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from mainspring.cli.durations import format_duration
from mainspring.cli.gap_spread import GapSpread
from mainspring.cli.instants import format_instant
from mainspring.cli.policy_words import labels_words, policy_details
from mainspring.cli.schedule_words import schedule_words, timing_words
from mainspring.cli.visible import visible
from mainspring.client import (
    At,
    ConnectedExecutor,
    Delay,
    Execution,
    ExecutionStage,
    Explanation,
    Handover,
    Node,
    Partition,
    ScheduledTask,
    Task,
    TaskCount,
)

NOTHING: Final = "-"
SHOWN_BYTES: Final = 1_000
"""More of a payload or result is left to --json."""

TASK_COLUMNS: Final = ("ID", "HANDLER", "SCHEDULE", "STATE", "NEXT", "LAST")
EXECUTION_COLUMNS: Final = ("TASK", "SCHEDULED", "STATE", "ATTEMPT", "LATENESS", "EXECUTOR", "REASON")
STAGE_COLUMNS: Final = ("STAGE", "TIME", "TOOK")
COUNT_COLUMNS: Final = ("STATE", "TASKS")
NODE_COLUMNS: Final = ("NODE", "ADDRESS", "VERSION", "READY", "WHY NOT", "PARTITIONS", "")
EXECUTOR_COLUMNS: Final = ("EXECUTOR", "HANDLERS", "CAPACITY", "CREDIT", "OPEN", "DRAINING", "CONNECTED")
PARTITION_COLUMNS: Final = ("PARTITION", "EPOCH", "OWNER", "ADDRESS")
HANDOVER_COLUMNS: Final = ("TIME", "PARTITION", "EPOCH", "REASON", "FROM", "TO", "GAP", "LATE", "LATEST")


def task_row(task: Task, *, utc: bool) -> tuple[str, ...]:
    """The cells of `TASK_COLUMNS`; times are cut to the second, schedules lack their bounds: the details have all."""
    is_once = isinstance(task.schedule, At | Delay)
    return (
        visible(task.task_id),
        visible(task.handler),
        "once" if is_once else timing_words(task.schedule, utc=utc, is_short=True),
        task.state.name,
        _to_the_second(task.next_scheduled_time, utc=utc),
        _to_the_second(task.last_scheduled_time, utc=utc),
    )


def task_details(task: Task, *, utc: bool) -> list[tuple[str, str]]:
    """Everything about one task, as labels and words."""
    return [
        ("id", visible(task.task_id)),
        ("namespace", visible(task.namespace)),
        ("state", task.state.name),
        ("note", visible(task.note) or NOTHING),
        ("changed by", visible(task.changed_by) or NOTHING),
        ("handler", visible(task.handler)),
        ("schedule", schedule_words(task.schedule, utc=utc)),
        ("labels", labels_words(task.labels) or NOTHING),
        *((label, words or NOTHING) for label, words in policy_details(task)),
        ("next", instant_words(task.next_scheduled_time, utc=utc)),
        *_due_apart(task, utc=utc),
        ("last", instant_words(task.last_scheduled_time, utc=utc)),
        ("executions", f"{task.execution_count:,}"),
        ("payload", bytes_words(task.payload)),
        ("created", instant_words(task.create_time, utc=utc)),
        ("updated", instant_words(task.update_time, utc=utc)),
        ("version", str(task.version)),
        ("etag", visible(task.etag) or NOTHING),
        ("partition", str(task.partition_id)),
    ]


def _due_apart(task: Task, *, utc: bool) -> list[tuple[str, str]]:
    """When the next time is due, if that is not when it is scheduled."""
    if task.next_due_time is None or task.next_due_time == task.next_scheduled_time:
        return []
    return [("due", instant_words(task.next_due_time, utc=utc))]


def count_rows(count: TaskCount) -> list[tuple[str, str]]:
    """The rows of `COUNT_COLUMNS`, and the sum below them."""
    rows = [(state.name, f"{number:,}") for state, number in count.by_state.items()]
    return [*rows, ("all", f"{count.count:,}")]


def scheduled_task_details(task: ScheduledTask, *, utc: bool) -> list[tuple[str, str]]:
    """Everything about a task; after its schedule, what that means."""
    details = task_details(task, utc=utc)
    position = [label for label, _ in details].index("schedule") + 1
    return [*details[:position], ("meaning", visible(task.meaning) or NOTHING), *details[position:]]


def execution_row(execution: Execution, *, utc: bool) -> tuple[str, ...]:
    """The cells of `EXECUTION_COLUMNS`."""
    reason = visible(execution.reason) or NOTHING
    if execution.gap is not None:
        until = instant_words(execution.gap.last_scheduled_time, utc=utc)
        reason = f"{execution.gap.count} scheduled times until {until}: {reason}"
    return (
        visible(execution.task_id),
        instant_words(execution.scheduled_time, utc=utc),
        execution.state.name,
        str(execution.attempt),
        lateness_words(execution),
        visible(execution.executor_id) or NOTHING,
        reason,
    )


def execution_details(execution: Execution, *, utc: bool) -> list[tuple[str, str]]:
    """Everything about one execution, as labels and words."""
    details = [
        ("task", visible(execution.task_id)),
        ("namespace", visible(execution.namespace)),
        ("scheduled", instant_words(execution.scheduled_time, utc=utc)),
        ("due", instant_words(execution.due_time, utc=utc)),
        ("state", execution.state.name),
        ("reason", visible(execution.reason) or NOTHING),
        ("origin", execution.origin.name.lower().replace("_", " ")),
        ("lateness", lateness_words(execution)),
        ("attempt", str(execution.attempt)),
        ("failures", f"{execution.failure_count:,}"),
        ("error kind", visible(execution.error_kind) or NOTHING),
        ("retry at", instant_words(execution.retry_time, utc=utc)),
        ("executor", visible(execution.executor_id) or NOTHING),
        ("node", visible(execution.node_id) or NOTHING),
        ("epoch", str(execution.epoch)),
        ("task version", str(execution.task_version)),
        ("claimed", instant_words(execution.claim_time, utc=utc)),
        ("dispatched", instant_words(execution.dispatch_time, utc=utc)),
        ("picked up", instant_words(execution.pick_up_time, utc=utc)),
        ("progress", bytes_words(execution.progress)),
        ("progress at", instant_words(execution.progress_time, utc=utc)),
        ("finished", instant_words(execution.finish_time, utc=utc)),
        ("saved", instant_words(execution.save_time, utc=utc)),
        ("result", bytes_words(execution.result)),
    ]
    if execution.gap is not None:
        until = instant_words(execution.gap.last_scheduled_time, utc=utc)
        details.append(("stands for", f"{execution.gap.count} scheduled times, the last at {until}"))
    return details


def watch_line(execution: Execution, *, utc: bool) -> str:
    """One execution that changed, as one line: the cells of `EXECUTION_COLUMNS`, two blanks apart."""
    return "  ".join(execution_row(execution, utc=utc))


def explanation_details(explanation: Explanation, *, utc: bool) -> list[tuple[str, str]]:
    """The answer, and what it rests on, without the stages."""
    execution, lateness, objective = (
        explanation.execution,
        explanation.lateness,
        explanation.lateness_objective,
    )
    return [
        ("answer", visible(explanation.summary) or NOTHING),
        ("scheduled", instant_words(execution.scheduled_time if execution else None, utc=utc)),
        ("state", NOTHING if execution is None else execution.state.name),
        ("lateness", NOTHING if lateness is None else _milliseconds(lateness)),
        ("objective", NOTHING if objective is None else format_duration(objective)),
        ("broken by", visible(explanation.broken_stage) or NOTHING),
    ]


def stage_row(stage: ExecutionStage, *, utc: bool) -> tuple[str, ...]:
    """The cells of `STAGE_COLUMNS`."""
    return (
        visible(stage.name),
        instant_words(stage.time, utc=utc),
        NOTHING if stage.duration is None else _milliseconds(stage.duration),
    )


def node_row(node: Node) -> tuple[str, ...]:
    """The cells of `NODE_COLUMNS`."""
    return (
        visible(node.node_id),
        visible(node.address),
        visible(node.version),
        _yes(node.is_ready),
        visible(", ".join(node.away_reasons)) or NOTHING,
        str(node.partition_count),
        "answered" if node.is_self else "",
    )


def time_zone_databases(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """The releases of the time zone database that nodes compute with, each with those nodes; silent nodes left out."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        if node.time_zone_database:
            found.setdefault(visible(node.time_zone_database), []).append(visible(node.node_id))
    return found


def executor_row(executor: ConnectedExecutor, *, utc: bool) -> tuple[str, ...]:
    """The cells of `EXECUTOR_COLUMNS`."""
    return (
        visible(executor.executor_id),
        visible(", ".join(executor.handlers)),
        str(executor.capacity),
        str(executor.credit),
        str(executor.open_attempts),
        _yes(executor.is_draining),
        _to_the_second(executor.connect_time, utc=utc),
    )


def partition_row(partition: Partition) -> tuple[str, ...]:
    """The cells of `PARTITION_COLUMNS`."""
    return (
        str(partition.partition_id),
        str(partition.epoch),
        visible(partition.owner_id) or NOTHING,
        visible(partition.owner_address) or NOTHING,
    )


def handover_row(handover: Handover, *, utc: bool) -> tuple[str, ...]:
    """The cells of `HANDOVER_COLUMNS`."""
    gap = NOTHING
    if handover.gap is not None:
        # After a crash the time before it was noticed is not part of it.
        gap = f"{'' if handover.release_time is not None else '+'}{_milliseconds(handover.gap)}"
    return (
        instant_words(handover.fire_time, utc=utc),
        str(handover.partition_id),
        str(handover.epoch),
        handover.reason.name.lower().replace("_", " "),
        visible(handover.from_node_id) or NOTHING,
        visible(handover.to_node_id),
        gap,
        str(handover.late_execution_count),
        _milliseconds(handover.max_lateness) if handover.late_execution_count else NOTHING,
    )


def gap_spread_words(spread: GapSpread) -> str:
    """One sentence about all hand-overs that are listed."""
    late = f"{spread.late_execution_count:,} executions late by them"
    if spread.late_execution_count:
        late += f", the latest {_milliseconds(spread.max_lateness)}"
    gaps = "gap" if spread.count == 1 else "gaps"
    return (
        f"{spread.count:,} {gaps}: p50 {_milliseconds(spread.p50)}, p99 {_milliseconds(spread.p99)}, "
        f"max {_milliseconds(spread.greatest)}; {late}"
    )


def instant_words(instant: datetime | None, *, utc: bool) -> str:
    """The instant in RFC 3339, or a dash."""
    return NOTHING if instant is None else format_instant(instant, utc=utc)


def lateness_words(execution: Execution) -> str:
    """Pick-up minus due time in milliseconds, or a dash before the pick-up."""
    if execution.pick_up_time is None or execution.due_time is None:
        return NOTHING
    return _milliseconds(execution.pick_up_time - execution.due_time)


def bytes_words(value: bytes) -> str:
    """The bytes as text where they are text, else their size and beginning; cut after `SHOWN_BYTES`."""
    if not value:
        return NOTHING
    is_cut = len(value) > SHOWN_BYTES
    try:
        # Not final where it was cut: the cut may fall inside a letter, which does not make it binary.
        words = visible(codecs.utf_8_decode(value[:SHOWN_BYTES], "strict", not is_cut)[0])
    except UnicodeDecodeError:
        return f"{len(value):,} bytes, not text: {value[:32].hex(' ')}{' ...' if len(value) > 32 else ''}"
    return f"{words} ... ({len(value):,} bytes; --json shows all)" if is_cut else words


def _milliseconds(duration: timedelta) -> str:
    return f"{duration / timedelta(milliseconds=1):.1f} ms"


def _to_the_second(instant: datetime | None, *, utc: bool) -> str:
    return instant_words(instant and instant.replace(microsecond=0), utc=utc)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
