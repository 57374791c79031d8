"""`mainspring task change`: pause, resume, cancel or delete many tasks, counted first."""

from typing import Annotated, Final

import typer

from mainspring.cli.call_options import CallOptions, ReasonOptions
from mainspring.cli.filter_options import TaskFilterOptions, read_filter
from mainspring.cli.json_form import changed_tasks_json
from mainspring.cli.option_sets import takes_option_sets
from mainspring.cli.options import (
    EXIT_REFUSED,
    Namespace,
)
from mainspring.cli.output import Output, ask
from mainspring.cli.output import note as say
from mainspring.client import ChangedTasks, MainspringClient, TaskChange
from mainspring.client.task import DEFAULT_NAMESPACE

_WHAT: Final = "What (exactly one)"
_DONE: Final = {
    TaskChange.PAUSE: "paused",
    TaskChange.RESUME: "resumed",
    TaskChange.CANCEL: "cancelled",
    TaskChange.DELETE: "deleted",
}


@takes_option_sets
def change(
    which: TaskFilterOptions,
    why: ReasonOptions,
    call: CallOptions,
    pause: Annotated[
        bool, typer.Option("--pause", help="Stop them until they are resumed.", rich_help_panel=_WHAT)
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Let paused ones go on.", rich_help_panel=_WHAT)
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End them.", rich_help_panel=_WHAT)] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove them with their ledgers.", rich_help_panel=_WHAT)
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Pause, resume, cancel or delete the tasks that a filter names. Tells how many there are, and asks.

    \b
    Examples:
      $ mainspring task change --label team=billing --pause --note 'moving'
      $ mainspring task change --state completed --delete --yes
    """
    wanted = {
        TaskChange.PAUSE: pause,
        TaskChange.RESUME: resume,
        TaskChange.CANCEL: cancel,
        TaskChange.DELETE: delete,
    }
    kinds = [kind for kind, is_wanted in wanted.items() if is_wanted]
    if len(kinds) != 1:
        raise typer.BadParameter("say what: exactly one of --pause, --resume, --cancel and --delete")
    chosen = read_filter(which)
    if chosen is None:
        raise typer.BadParameter("say which tasks: --state, --handler, --label, --next-from or --next-until")
    [kind], output = kinds, call.output

    if dry_run or not yes:
        counted = ChangedTasks(0, 0)

        async def count(client: MainspringClient) -> None:
            nonlocal counted
            counted = await client.change_tasks(chosen, kind, dry_run=True, namespace=namespace)

        call.run(count)
        if dry_run or counted.matched_count == 0:
            _show(counted, f"{_tasks(counted.matched_count)} would be {_DONE[kind]}", output)
            return
        question = f"{kind.name.lower()} {_tasks(counted.matched_count)} of namespace {namespace!r}?"
        if not ask(question):
            say("nothing was changed")
            raise typer.Exit(EXIT_REFUSED)

    async def change_all(client: MainspringClient) -> None:
        changed = await client.change_tasks(
            chosen, kind, note=why.note, changed_by=why.changed_by, namespace=namespace
        )
        words = f"{changed.changed_count:,} of {_tasks(changed.matched_count)} {_DONE[kind]}"
        _show(changed, words, output)

    call.run(change_all)


def _show(changed: ChangedTasks, words: str, output: Output) -> None:
    if output.as_json:
        output.document(changed_tasks_json(changed))
    else:
        print(words)


def _tasks(count: int) -> str:
    return f"{count:,} task" if count == 1 else f"{count:,} tasks"
