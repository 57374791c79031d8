"""`mainspring dev` as a program: its parts from its settings, its signals, what it says."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainspring.dev.process import VIRTUAL_TIME, BuiltInExecutor, DevProcess, NotReadyError, node_config
from mainspring.dev.virtual_clock import VirtualClock
from mainspring.executor.mock_handlers import mock_registry
from mainspring.executor.process import HandlersNotFound, load_handlers
from mainspring.executor.registry import HandlerRegistry
from mainspring.server.clock import ClusterClock, DatabaseClock
from mainspring.server.config import NodeConfig
from mainspring.server.errors import InvalidField, MainspringError
from mainspring.server.observability.logging import configure_logging
from mainspring.server.persistence.sqlite.store import SQLiteStore

DEFAULT_LISTEN = "127.0.0.1:7300"
IN_MEMORY = ":memory:"
EXIT_CUT_SHORT = 1


class CannotStartError(Exception):
    """A setting that does not work on this machine; the message says why and what to do.

    Attributes:
        option: The option to change, such as "--listen".
    """

    def __init__(self, option: str, message: str) -> None:
        """See the attributes."""
        super().__init__(message)
        self.option = option


@dataclass(frozen=True, slots=True)
class DevSettings:
    """What `mainspring dev` was asked for.

    Attributes:
        listen: host:port of the gRPC server; port 0 takes a free one.
        file: The database; None keeps everything in memory.
        partitions: N of a new database; None takes 16, or what the file has.
        has_executor: Whether tasks run in this process too.
        handlers: `module:attribute` of an `Executor` or a `HandlerRegistry`, beside the mock handlers. One of the name
            of a mock handler takes its place.
        capacity: How much runs at once.
        run_log: A file to append evidence of every run to.
        has_virtual_clock: Whether time stands still until `DevService` moves it.
        start_time: Where it stands at first, aware; None takes the present second, or where the file's stood.
        log_level: "debug", "info", "warning" or "error"; logs go to standard error.
    """

    listen: str = DEFAULT_LISTEN
    file: Path | None = None
    partitions: int | None = None
    has_executor: bool = True
    handlers: Sequence[str] = ()
    capacity: int = 100
    run_log: Path | None = None
    has_virtual_clock: bool = False
    start_time: datetime | None = None
    log_level: str = "warning"


async def serve(settings: DevSettings) -> int:
    """Serve until SIGINT or SIGTERM, then end in order; a second signal ends the process at once, with code 1.

    Returns:
        The exit code: 0.

    Raises:
        CannotStartError: A setting does not work.
    """
    stop = asyncio.Event()
    _follow_signals(stop)
    config = _config(settings)
    clock = _clock(settings)
    executor = built_in_executor(settings, clock) if settings.has_executor else None
    configure_logging(settings.log_level, "console")
    path = settings.file or IN_MEMORY
    store = (
        SQLiteStore(path, settings.partitions, now=clock.now)
        if isinstance(clock, VirtualClock)
        else SQLiteStore(path, settings.partitions)
    )
    try:
        await store.start()
    except (MainspringError, ValueError) as error:
        raise CannotStartError(
            "--partitions" if isinstance(error, ValueError) else "--file", str(error)
        ) from None
    try:
        if isinstance(clock, VirtualClock):
            await _take_up_time(settings, clock, store)
        await clock.measure(store.database_time)
        process = DevProcess(
            config, store, clock, executor, None if settings.file is None else store.keep_virtual_time
        )
        try:
            address = process.listen()
        except OSError:
            raise CannotStartError(
                "--listen",
                f"{settings.listen} cannot be had: does another `mainspring dev` run? "
                "--listen 127.0.0.1:0 takes a free port",
            ) from None
        names = executor.registry.names if executor else ()
        is_clean = await process.run(
            stop, lambda: print(welcome(settings, address, names, clock.now()), flush=True)
        )
        if not is_clean:
            print("some handlers were still running and were given up", file=sys.stderr)
    except NotReadyError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CUT_SHORT
    finally:
        await store.close()
    return 0


def _clock(settings: DevSettings) -> DatabaseClock:
    if not settings.has_virtual_clock:
        return ClusterClock()
    if settings.start_time is None:
        return VirtualClock(int(time.time()) * 1_000_000)
    return VirtualClock((settings.start_time - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1))


async def _take_up_time(settings: DevSettings, clock: VirtualClock, store: SQLiteStore) -> None:
    """Let the clock go on where that of the file stood."""
    if (stood_at := await store.virtual_time()) is not None:
        if settings.start_time is None:
            clock.begin_at(stood_at)
        elif clock.now() < stood_at:
            raise CannotStartError(
                "--start-time",
                f"time runs forward only, and it is {_text(stood_at)} in {settings.file}: leave it out to go on there",
            )
    await store.keep_virtual_time(clock.now())


def _text(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat().replace("+00:00", "Z")


def built_in_executor(settings: DevSettings, clock: DatabaseClock | None = None) -> BuiltInExecutor:
    """The executor that the settings describe. Its mock handlers sleep on the clock when that is virtual.

    Raises:
        CannotStartError: Handlers cannot be loaded, or the run log cannot be written.
    """
    registry = HandlerRegistry()
    try:
        for spec in settings.handlers:
            registry.include(load_handlers(spec))
    except (HandlersNotFound, ValueError) as error:
        raise CannotStartError("--handlers", str(error)) from None
    mocks = mock_registry(clock.sleep_in if isinstance(clock, VirtualClock) else None)
    for name in mocks.names:
        mock = mocks.get(name)
        if mock is not None and registry.get(name) is None:
            registry.register(name, mock.function)
    if settings.run_log is not None:
        try:
            settings.run_log.parent.mkdir(parents=True, exist_ok=True)
            settings.run_log.open("ab").close()
        except OSError as error:
            raise CannotStartError("--run-log", f"{error.filename}: {error.strerror}") from None
    return BuiltInExecutor(registry, capacity=settings.capacity, run_log=settings.run_log)


def welcome(settings: DevSettings, address: str, handlers: Sequence[str], now: int = 0) -> str:
    """What is said once it serves: where, what it runs, what to try.

    Args:
        now: The time of a virtual clock, microseconds UTC.
    """
    kept = "nothing is kept (--file keeps it)" if settings.file is None else f"kept in {settings.file}"
    runs = f"It runs the handlers {', '.join(handlers)}." if handlers else "It has no executor: start one."
    command = _own_command()
    lines = [f"Mainspring is ready on {address}; {kept}."]
    if settings.has_virtual_clock:
        lines.append(f"Time stands still at {_text(now)}, until mainspring.v1.DevService moves it.")
    lines += [f"{runs} In another terminal:", ""]
    if address != DEFAULT_LISTEN:
        lines.append(f"  export MAINSPRING_ADDRESS={address}")
    lines += [
        f"  {command} task create echo --delay 2s --payload hello",
        f"  {command} task create noop --cron '*/5 * * * * *' --time-zone Europe/Berlin",
        *(_move_a_day(address) if settings.has_virtual_clock else ()),
        f"  {command} execution list",
        "",
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)


def _move_a_day(address: str) -> list[str]:
    call = "mainspring.v1.DevService/AdvanceTime"
    return [f"""  grpcurl -plaintext -d '{{"by": "86400s"}}' {address} {call}"""]


def _config(settings: DevSettings) -> NodeConfig:
    try:
        return node_config(settings.listen, VIRTUAL_TIME if settings.has_virtual_clock else None)
    except InvalidField as error:
        raise CannotStartError("--listen", error.description) from None


def _follow_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            # At once: not even a handler that holds a thread delays it. The file stands a crash.
            os._exit(EXIT_CUT_SHORT)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


def _own_command() -> str:
    """How to call the command from the folder in which it was started."""
    if shutil.which("mainspring"):
        return "mainspring"
    called = Path(sys.argv[0])
    return (
        os.path.relpath(called)
        if called.name == "mainspring" and called.exists()
        else "python -m mainspring.cli"
    )
