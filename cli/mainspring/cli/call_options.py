"""The options of every command that calls a node: which node, how long, and in what form the answer is shown."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mainspring.cli.calls import run_calls
from mainspring.cli.option_sets import OptionSet
from mainspring.cli.options import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT,
    Addresses,
    AsJson,
    ChangedBy,
    InUtc,
    Note,
    Timeout,
)
from mainspring.cli.output import Output
from mainspring.client import MainspringClient


@dataclass(frozen=True, kw_only=True)
class CallOptions(OptionSet):
    """Which node, and how its answer is shown."""

    is_shown_last = True

    address: Addresses = field(default_factory=lambda: [DEFAULT_ADDRESS])
    timeout: Timeout = DEFAULT_TIMEOUT
    as_json: AsJson = False

    @property
    def output(self) -> Output:
        """Where the answer goes, and what went wrong."""
        return Output(self.as_json)

    def run(self, calls: Callable[[MainspringClient], Awaitable[None]]) -> None:
        """Run the calls of the command; see `run_calls`."""
        run_calls(self.address, self.timeout, self.output, calls)


@dataclass(frozen=True, kw_only=True)
class TimesCallOptions(CallOptions):
    """The same for commands that show times."""

    utc: InUtc = False

    @property
    def output(self) -> Output:
        """Where the answer goes, and what went wrong."""
        return Output(self.as_json, self.utc)


@dataclass(frozen=True, kw_only=True)
class ReasonOptions(OptionSet):
    """Why something is changed, and who says so."""

    note: Note = ""
    changed_by: ChangedBy
