"""What several commands answer: a task, with what its schedule means or without, an execution, times to come."""

from collections.abc import Sequence

from mainspring.cli.json_form import execution_json, scheduled_task_json, task_json
from mainspring.cli.output import Output
from mainspring.cli.schedule_words import fires_table
from mainspring.cli.tables import execution_details, scheduled_task_details, task_details
from mainspring.client import Execution, FireTime, ScheduledTask, Task


def show_task(task: Task, output: Output) -> None:
    """Print one task."""
    if output.as_json:
        output.document(task_json(task))
    else:
        output.details(task_details(task, utc=output.utc))


def show_scheduled_task(task: ScheduledTask, output: Output) -> None:
    """Print one task with what its schedule means and its next times."""
    if output.as_json:
        output.document(scheduled_task_json(task))
        return
    output.details(scheduled_task_details(task, utc=output.utc))
    if task.next_fires:
        print()
        show_fires(task.next_fires, output)


def show_execution(execution: Execution, output: Output) -> None:
    """Print one execution."""
    if output.as_json:
        output.document(execution_json(execution))
    else:
        output.details(execution_details(execution, utc=output.utc))


def show_fires(fires: Sequence[FireTime], output: Output) -> None:
    """Print a table of scheduled times that are to come."""
    columns, rows = fires_table(fires)
    output.table(columns, rows, empty="nothing is left to fire")
