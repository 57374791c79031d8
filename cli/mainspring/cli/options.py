"""Options that several commands share, and the reading of their values."""

import getpass
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer

from mainspring.cli.durations import parse_duration
from mainspring.cli.instants import parse_instant
from mainspring.client.addresses import parse_addresses

DEFAULT_ADDRESS: Final = "127.0.0.1:7300"
DEFAULT_TIMEOUT: Final = timedelta(seconds=10)
DEFAULT_LIMIT: Final = 100

MAX_PAGE: Final = 1_000
MAX_PORT: Final = 65_535

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3


class LogLevel(StrEnum):
    """What is logged at least."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """JSON lines, or lines for people."""

    JSON = "json"
    CONSOLE = "console"


def duration(value: str | timedelta) -> timedelta:
    """Return the duration that an option says; Typer hands in the default too, which is one already.

    Raises:
        typer.BadParameter: It is no duration.
    """
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def instant(value: str | datetime) -> datetime:
    """Return the aware instant that an option says; Typer hands in the default too, which is one already.

    Raises:
        typer.BadParameter: It is not RFC 3339, or has no zone.
    """
    if isinstance(value, datetime):
        return value
    try:
        return parse_instant(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def addresses_of(values: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of nodes; each value may hold several, separated by commas.

    Raises:
        typer.BadParameter: One is not host:port.
    """
    try:
        addresses = parse_addresses(",".join(values))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--address") from None
    for address in addresses:
        check_host_port("--address", address)
    return addresses


def check_host_port(option: str, address: str) -> None:
    """Check the form of an address.

    Raises:
        typer.BadParameter: It is not host:port.
    """
    if not re.fullmatch(r"[^,\s]+:[0-9]{1,5}", address) or int(address.rpartition(":")[2]) > MAX_PORT:
        raise typer.BadParameter(f"{address!r} is not host:port", param_hint=option)


def page_size(limit: int) -> int:
    """Return how many items to ask for at once: one more than are shown, to know whether there are more."""
    return min(limit + 1, MAX_PAGE) if limit else MAX_PAGE


def login_name() -> str:
    """Return the name of the user who runs the command; empty when the machine knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", help="The id of the task.")]
Addresses = Annotated[
    list[str],
    typer.Option(
        "--address",
        "-a",
        metavar="HOST:PORT",
        envvar="MAINSPRING_ADDRESS",
        help="A node. Repeat it, or separate by commas, to name several: any of them will do.",
    ),
]
Timeout = Annotated[
    timedelta,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        show_default="10s",
        help="Give up on an answer after this long.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document with the API's field names; bytes are in base64, times in UTC.",
    ),
]
InUtc = Annotated[bool, typer.Option("--utc", help="Show times in UTC instead of the local time zone.")]
Namespace = Annotated[
    str,
    typer.Option("--namespace", "-n", metavar="NAME", help="The namespace of the task."),
]
Limit = Annotated[
    int, typer.Option("--limit", min=0, metavar="COUNT", help="Show at most this many; 0 for all there are.")
]
Etag = Annotated[
    str,
    typer.Option(
        metavar="ETAG",
        help="Only if the task is still in the state in which `task get` showed this etag.",
        show_default=False,
    ),
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why, for people.", show_default=False)]
ChangedBy = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        envvar="MAINSPRING_USER",
        default_factory=login_name,
        help="Who, for people.",
        show_default="your login name",
    ),
]
RequestId = Annotated[
    str | None,
    typer.Option(
        metavar="ID", help="Commands with the same one take effect once within a day. Makes repeating safe."
    ),
]
ScheduledTime = Annotated[
    datetime,
    typer.Argument(
        parser=instant, metavar="SCHEDULED_TIME", help="To the microsecond: RFC 3339 with a zone."
    ),
]
MySqlUrl = Annotated[
    str | None,
    typer.Option(
        envvar="MAINSPRING_MYSQL_URL",
        metavar="URL",
        help="The database: mysql://user:password@host:port/database. Required.",
        show_default=False,
    ),
]
Level = Annotated[
    LogLevel,
    typer.Option(
        "--log-level",
        envvar="MAINSPRING_LOG_LEVEL",
        metavar="LEVEL",
        help="What is logged at least: debug, info, warning or error.",
    ),
]
Format = Annotated[
    LogFormat,
    typer.Option(
        "--log-format",
        envvar="MAINSPRING_LOG_FORMAT",
        metavar="FORMAT",
        help="json, or console for people; on stderr.",
    ),
]
