"""`mainspring execution slo`: how late executions were, how many kept their objective, and what it came from."""

from datetime import datetime, timedelta
from typing import Annotated, Final

import typer

from mainspring.cli.call_options import CallOptions
from mainspring.cli.json_form import slo_json
from mainspring.cli.option_sets import takes_option_sets
from mainspring.cli.options import Namespace, instant
from mainspring.client import MainspringClient, Slo, SloFigures
from mainspring.client.task import DEFAULT_NAMESPACE

SLO_COLUMNS: Final = ("CAUSE", "EXECUTIONS", "KEPT", "P50", "P99", "MAX")


@takes_option_sets
def slo(
    start: Annotated[
        datetime, typer.Option(parser=instant, metavar="TIME", help="Only scheduled times at or after this.")
    ],
    call: CallOptions,
    end: Annotated[
        datetime | None,
        typer.Option(
            parser=instant, metavar="TIME", help="Only scheduled times before this.", show_default="now"
        ),
    ] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Tell how late executions were, which share kept the objective of their task, and what the lateness came from.

    \b
    Examples:
      $ mainspring execution slo --start 2030-01-31T00:00:00Z
      $ mainspring execution slo --start 2030-01-31T00:00:00Z --json | jq .total
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        found = await client.get_slo(start, end, namespace=namespace)
        if output.as_json:
            output.document(slo_json(found))
            return
        output.table(SLO_COLUMNS, slo_rows(found), empty="")
        for sentence in slo_sentences(found):
            print(sentence)

    call.run(calls)


def slo_rows(slo: Slo) -> list[tuple[str, ...]]:
    """The rows of `SLO_COLUMNS`, one for each cause, and all of them below."""
    causes = [(cause.name.lower().replace("_", " "), figures) for cause, figures in slo.by_cause.items()]
    return [_row(name, figures) for name, figures in (*causes, ("all", slo.total))]


def slo_sentences(slo: Slo) -> list[str]:
    """What is not in the figures, if anything is not."""
    sentences = []
    if slo.not_run_count:
        were = "scheduled time was" if slo.not_run_count == 1 else "scheduled times were"
        sentences.append(f"{slo.not_run_count:,} {were} not run: skipped or expired.")
    if slo.partitions_looked_at < slo.partition_count:
        sentences.append(
            f"A sample: {slo.partitions_looked_at:,} of {slo.partition_count:,} partitions; ask for less time for all."
        )
    return sentences


def _row(name: str, figures: SloFigures) -> tuple[str, ...]:
    share = figures.kept_share
    return (
        name,
        f"{figures.count:,}",
        "-" if share is None else f"{share:.2%}",
        *(_milliseconds(length) for length in (figures.p50, figures.p99, figures.max)),
    )


def _milliseconds(length: timedelta | None) -> str:
    return "-" if length is None else f"{length / timedelta(milliseconds=1):.1f} ms"
