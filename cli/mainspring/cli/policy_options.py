"""The options that say what tasks ask for when things do not go as planned, and their labels."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer

from mainspring.cli.option_sets import OptionSet
from mainspring.cli.options import duration

_POLICIES: Final = "Missed times, overlap, labels"
_RETRIES: Final = "Failures"
_TIMEOUTS: Final = "Timeouts"


class MisfireChoice(StrEnum):
    """The names are those of `mainspring.client.MisfireMode`."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


class OverlapChoice(StrEnum):
    """The names are those of `mainspring.client.OverlapPolicy`."""

    ALLOW = "allow"
    SKIP = "skip"
    BUFFER_ONE = "buffer-one"
    REPLACE = "replace"


class DeliveryChoice(StrEnum):
    """The names are those of `mainspring.client.Delivery`."""

    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"


@dataclass(frozen=True, kw_only=True)
class PolicyOptions(OptionSet):
    """What the command line says about policies; None or nothing where it says nothing."""

    misfire: Annotated[
        MisfireChoice | None,
        typer.Option(
            metavar="MODE",
            help="Which scheduled times run that passed while nothing could run them: none, latest or all.",
            show_default=MisfireChoice.LATEST.value,
            rich_help_panel=_POLICIES,
        ),
    ] = None
    catch_up_window: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="With --misfire all: how far back they are made up for.",
            show_default="1d",
            rich_help_panel=_POLICIES,
        ),
    ] = None
    catch_up_limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000,
            metavar="COUNT",
            help="With --misfire all: how many are made up for, the latest ones.",
            show_default="100",
            rich_help_panel=_POLICIES,
        ),
    ] = None
    overlap: Annotated[
        OverlapChoice | None,
        typer.Option(
            metavar="POLICY",
            help="What becomes of a scheduled time while an execution is open: allow runs it too, skip records it as "
            "skipped, buffer-one lets one wait, replace cancels the open one.",
            show_default=OverlapChoice.SKIP.value,
            rich_help_panel=_POLICIES,
        ),
    ] = None
    objective: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="The lateness that the task is meant to keep.",
            show_default="10s",
            rich_help_panel=_POLICIES,
        ),
    ] = None
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2**31 - 1,
            metavar="COUNT",
            help="Keep this many final executions at most, the newest. As many as the namespace keeps when left out.",
            rich_help_panel=_POLICIES,
        ),
    ] = None

    delivery: Annotated[
        DeliveryChoice | None,
        typer.Option(
            metavar="MODE",
            help="What becomes of an execution whose executor dies, refuses it or does not know it: at-least-once runs it "
            "again, at-most-once ends it as LOST.",
            show_default=DeliveryChoice.AT_LEAST_ONCE.value,
            rich_help_panel=_RETRIES,
        ),
    ] = None
    retry_attempts: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000,
            metavar="COUNT",
            help="How many attempts may fail in all, the first included.",
            show_default="1",
            rich_help_panel=_RETRIES,
        ),
    ] = None
    retry_backoff: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="The wait after the first failure.",
            show_default="1s",
            rich_help_panel=_RETRIES,
        ),
    ] = None
    retry_max_backoff: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="The longest wait.",
            show_default="100 times the first",
            rich_help_panel=_RETRIES,
        ),
    ] = None
    retry_multiplier: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=10,
            metavar="NUMBER",
            help="Each wait is this many times the one before.",
            show_default="2",
            rich_help_panel=_RETRIES,
        ),
    ] = None
    retry_jitter: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="FRACTION",
            help="Each wait is shortened by a random part of at most this fraction.",
            show_default="0",
            rich_help_panel=_RETRIES,
        ),
    ] = None
    no_retry_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="An error of this kind, such as the name of an exception's class, is not retried. Repeat it for more.",
            rich_help_panel=_RETRIES,
        ),
    ] = None

    timeout_start: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="From the due time to the start: what has not started by then ends as EXPIRED.",
            rich_help_panel=_TIMEOUTS,
        ),
    ] = None
    timeout_run: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="From the start of an attempt to its end: one that takes longer is stopped and has failed.",
            rich_help_panel=_TIMEOUTS,
        ),
    ] = None
    timeout_heartbeat: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="From one sign of progress to the next: a silent attempt is stopped and has failed.",
            rich_help_panel=_TIMEOUTS,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class TaskPolicyOptions(PolicyOptions):
    """The same of one task, and its labels."""

    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="For people and filters. Repeat it for more.", rich_help_panel=_POLICIES
        ),
    ] = None
