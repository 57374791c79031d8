"""Wrong usage is told with exit code 2, in words that say what would be right, and before anything is sent."""

import pytest
from typer.testing import CliRunner

from mainspring.cli.app import app

NODE = ["server", "--mysql-url", "mysql://u:secret@h/d", "--zookeeper", "z:1"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MYSQL_URL", "ZOOKEEPER", "LISTEN", "ADVERTISE", "ADDRESS", "LOG_LEVEL", "LOG_FORMAT"):
        monkeypatch.delenv(f"MAINSPRING_{name}", raising=False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "exactly one of"),
        (["--delay", "5s", "--payload", "a", "--payload-file", "b"], "only one of"),
        (["--delay", "5s", "--payload-file", "/nowhere/at/all"], "No such file"),
        (["--delay", "5s", "--delivery", "exactly-once"], "'exactly-once' is not one of"),
        (["--delay", "5s", "--timeout", "0s"], "--timeout: must be above 0"),
        (["--delay", "5s", "--id", "a", "--request-id", "b"], "only one of --id and --request-id"),
        (["--delay", "5s", "--address", "localhost"], "'localhost' is not host:port"),
        (["--delay", "5s", "--address", ","], "none may be blank"),
    ],
)
def test_of_task_create(arguments: list[str], complaint: str) -> None:
    assert complaint in complaint_about(["task", "create", "report", *arguments])


@pytest.mark.parametrize(
    "command", [["task", "create", "report", "--delay", "5s"], ["task", "update", "daily"]]
)
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--misfire", "some"], "'some' is not one of 'none', 'latest', 'all'"),
        (["--overlap", "never"], "'never' is not one of 'allow', 'skip', 'buffer-one', 'replace'"),
        (["--catch-up-limit", "1001"], "--catch-up-limit"),
        (["--retry-attempts", "0"], "--retry-attempts"),
        (["--retry-multiplier", "0.5"], "--retry-multiplier"),
        (["--retry-jitter", "1.5"], "--retry-jitter"),
        (["--timeout-run", "5"], "5s for seconds or 5m for minutes"),
        (["--keep", "0"], "--keep"),
    ],
)
def test_of_policies(command: list[str], arguments: list[str], complaint: str) -> None:
    assert complaint in complaint_about([*command, *arguments])


WHEN = "2030-06-01T12:00:00Z"
ONE_ADJUSTMENT = "exactly one of --skip, --due, --payload, --payload-file and --reset"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["task", "create", "report", "--delay", "5s", "--catch-up-limit", "1"],
            "goes with --misfire all only",
        ),
        (["task", "create", "report", "--delay", "5s", "--label", "x"], "write it like team=billing"),
        (["task", "update", "daily"], "say what is to change"),
        (["task", "update", "daily", "--time-zone", "UTC"], "exactly one of --at, --delay"),
        (["namespace", "update", "billing"], "say what is to change"),
        (["namespace", "update", "billing", "--clear", "labels"], "'labels' is not one of 'retention'"),
        (["execution", "slo"], "Missing option '--start'"),
        (["task", "update", "daily", "--clear", "payload"], "'payload' is not one of 'delivery', 'labels'"),
        (["task", "list", "--state", "open"], "'open' is not one of 'active', 'paused'"),
        (["task", "count", "--label", "x"], "'x' is not a label"),
        (["task", "change", "--pause"], "say which tasks: --state, --handler, --label"),
        (["task", "change", "--state", "paused"], "exactly one of --pause, --resume, --cancel and --delete"),
        (["task", "change", "--state", "paused", "--resume", "--delete"], "exactly one of"),
        (["task", "backfill", "daily", "--start", WHEN], "Missing option '--end'"),
        (["task", "backfill", "daily", "--start", "noon", "--end", WHEN], "not an RFC 3339 time"),
        (["task", "trigger", "daily", "--payload", "a", "--payload-file", "b"], "only one of"),
        (["execution", "list", "--state", "done"], "'done' is not one of 'waiting', 'dispatched'"),
        (["execution", "list", "--label", "x"], "'x' is not a label"),
        (["execution", "cancel", "daily"], "Missing argument 'SCHEDULED_TIME'"),
        (["execution", "retry", "daily", "noon"], "not an RFC 3339 time"),
        (["execution", "adjust", "daily", WHEN], ONE_ADJUSTMENT),
        (["execution", "adjust", "daily", WHEN, "--skip", "--reset"], ONE_ADJUSTMENT),
        (["execution", "adjust", "daily", WHEN, "--due", WHEN, "--payload", ""], ONE_ADJUSTMENT),
    ],
)
def test_of_the_life_cycle(arguments: list[str], complaint: str) -> None:
    assert complaint in complaint_about(arguments)


CALENDAR = ["--calendar", "week", "--time", "09:00"]
RECURRING = "goes with --cron, --every and --calendar only"


@pytest.mark.parametrize("command", [["task", "create", "report"], ["task", "preview"]], ids=" ".join)
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "exactly one of --at, --delay, --cron, --every and --calendar"),
        (["--delay", "0s", "--cron", "* * * * *"], "exactly one of"),
        (["--every", "5s", *CALENDAR], "exactly one of"),
        (["--delay", "5"], "5s for seconds or 5m for minutes"),
        (["--delay", "[/x]"], "'[/x]' is not a duration"),
        (["--at", "2030-06-01T12:00:00"], "2030-06-01T12:00:00Z for UTC"),
        (["--at", "noon"], "not an RFC 3339 time"),
        (["--every", "5s", "--time-zone", "UTC"], "--time-zone: goes with --cron and --calendar only"),
        (["--every", "5s", "--gap", "skip"], "--gap: goes with --cron and --calendar only"),
        (["--delay", "5s", "--repeat", "both"], "--repeat: goes with --cron and --calendar only"),
        (["--cron", "@daily", "--gap", "stop"], "'stop' is not one of 'fire-after', 'skip'"),
        (["--cron", "@daily", "--repeat", "twice"], "'twice' is not one of 'first', 'last', 'both'"),
        (["--cron", "@daily", "--phase", "0s"], "--phase: goes with --every only"),
        (["--cron", "@daily", "--on", "mon"], "--on: goes with --calendar only"),
        (["--every", "5s", "--time", "09:00"], "--time: goes with --calendar only"),
        (["--every", "5s", "--start-date", "2030-06-01"], "--start-date: goes with --calendar only"),
        (["--delay", "5s", "--start", "2030-06-01T12:00:00Z"], f"--start: {RECURRING}"),
        (["--delay", "5s", "--end", "2030-06-01T12:00:00Z"], f"--end: {RECURRING}"),
        (["--delay", "5s", "--max-executions", "1"], f"--max-executions: {RECURRING}"),
        (["--delay", "5s", "--exclude-date", "2030-06-01"], f"--exclude-date: {RECURRING}"),
        (["--at", "2030-06-01T12:00:00Z", "--exclude-cron", "@daily"], f"--exclude-cron: {RECURRING}"),
        (["--cron", "@daily", "--exclude-time-zone", "UTC"], "--exclude-time-zone: goes with --every only"),
        (["--every", "5s", "--max-executions", "0"], "should be greater than or equal to 1"),
        (["--every", "5s", "--exclude-date", "2030-06-01,x"], "--exclude-date: 'x' is not a date"),
        (["--calendar", "week"], "--calendar: needs --time"),
        (["--calendar", "fortnight", "--time", "09:00"], "--calendar: 'fortnight' is not an interval"),
        (["--calendar", "week", "--time", "9"], "--time: '9' is not a time of day; write it like 09:30"),
        ([*CALENDAR, "--on", "mon,1"], "--on: '1' is not a day of the week; write it like mon"),
        (["--calendar", "month", "--time", "09:00", "--on", "mon"], "--on: 'mon' is not a day of the month"),
        (["--calendar", "day", "--time", "09:00", "--on", "1"], "--on: goes with weeks and months only"),
        ([*CALENDAR, "--start-date", "soon"], "--start-date: 'soon' is not a date; write it like 2030-12-24"),
    ],
)
def test_of_schedules(command: list[str], arguments: list[str], complaint: str) -> None:
    assert complaint in complaint_about([*command, *arguments])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["server"], "--mysql-url: is required"),
        (["server", "--mysql-url", "mysql://u:secret@h/d"], "--zookeeper: is required"),
        (
            ["server", "--mysql-url", "postgres://u:secret@h/d", "--zookeeper", "z:1"],
            "mysql://user:password@host",
        ),
        ([*NODE, "--listen", "x"], "--listen: 'x' is not host:port"),
        ([*NODE, "--listen", "0.0.0.0:7300"], "--advertise: is required"),
        ([*NODE, "--metrics-listen", "9100"], "--metrics-listen: '9100' is not host:port"),
        ([*NODE, "--metrics-listen", "127.0.0.1:70000"], "'127.0.0.1:70000' is not host:port"),
        ([*NODE, "--zookeeper", "zk1:2181,zk2:port/mainspring"], "--zookeeper: 'zk2:port' is not host:port"),
        ([*NODE, "--log-level", "loud"], "'loud' is not one of"),
        ([*NODE, "--engine", "lease_s=1"], "--engine: must be more than twice the heartbeat"),
        ([*NODE, "--engine", "leas_s=1"], "heartbeat_interval_s"),
        ([*NODE, "--engine", "claim_lanes=x"], "expected claim_lanes=<int>"),
        ([*NODE, "--engine", "lease_s=nan"], "must be above 0"),
        ([*NODE, "--engine", "lease_s"], "expected lease_s=<float>"),
        (["executor"], "use --mock"),
        (["executor", "--mock", "--capacity", "0"], "--capacity"),
        (["migrate"], "--mysql-url: is required"),
        (["migrate", "--mysql-url", "mysql://u:secret@h"], "must end in the name of one database"),
        (["migrate", "--mysql-url", "mysql://u:secret@h/d", "--partitions", "5000"], "--partitions"),
        (["task", "get"], "Missing argument 'TASK_ID'"),
        (["task", "fetch"], "No such command 'fetch'"),
        (["execution", "get", "daily", "noon"], "not an RFC 3339 time"),
        (["task", "list", "--limit", "-1"], "--limit"),
        (["task", "preview", "--cron", "@daily", "--count", "0"], "--count"),
        (["task", "preview", "--cron", "@daily", "--count", "1001"], "--count"),
        (["task", "preview", "--cron", "@daily", "--after", "noon"], "not an RFC 3339 time"),
    ],
)
def test_of_the_other_commands(arguments: list[str], complaint: str) -> None:
    assert complaint in complaint_about(arguments)


def complaint_about(arguments: list[str]) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "secret" not in result.stderr
    return " ".join(result.stderr.replace("│", " ").split())
