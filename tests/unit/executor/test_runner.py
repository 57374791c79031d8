"""One handler, run: every way it can end."""

import asyncio
import sys
import threading

import pytest

from mainspring.executor.attempts import Ending, Outcome
from mainspring.executor.job import Job, JobCancelled
from mainspring.executor.mock_handlers import mock_registry
from mainspring.executor.registry import Handler, HandlerRegistry
from mainspring.executor.runner import encode, run_async, run_plain

LIMIT = 1_000


def job(payload: bytes = b"") -> Job:
    return Job(namespace="default", task_id="t", handler="h", payload=payload, scheduled_at=1_500_000)


async def run(function: object, given: Job | None = None) -> Ending:
    return await run_async(Handler("h", function, True), given or job(), LIMIT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("output", "expected"),
    [(None, b""), ("grün", "grün".encode()), (b"raw", b"raw"), (bytearray(b"x"), b"x")],
)
def test_what_a_handler_returns_is_kept_as_bytes(output: object, expected: bytes) -> None:
    assert encode(output, LIMIT) == Ending(Outcome.SUCCEEDED, output=expected)


def test_other_types_and_long_results_are_failures() -> None:
    assert encode({"a": 1}, LIMIT).error_kind == "TypeError"
    assert encode(b"x" * LIMIT, LIMIT).outcome is Outcome.SUCCEEDED
    ending = encode(b"x" * (LIMIT + 1), LIMIT)
    assert (ending.outcome, ending.error_kind, ending.output) == (Outcome.FAILED, "ResultTooLong", b"")


async def test_an_exception_is_a_failure_with_its_kind_and_text() -> None:
    async def handler(_: Job) -> None:
        raise KeyError("missing" + "\udc80" + "x" * 5_000)

    ending = await run(handler)
    assert (ending.outcome, ending.error_kind) == (Outcome.FAILED, "KeyError")
    assert len(ending.error) == 2_000
    ending.error.encode()


async def test_sys_exit_ends_the_attempt_and_not_the_process() -> None:
    async def handler(_: Job) -> None:
        sys.exit(3)

    assert (await run(handler)).error_kind == "SystemExit"


async def test_what_is_no_exception_ends_the_attempt_too() -> None:
    """A library's own signal: its slot must not be occupied for ever."""

    class Signal(BaseException):
        pass

    async def handler(_: Job) -> None:
        raise Signal("stop")

    assert await run(handler) == Ending(Outcome.FAILED, error="stop", error_kind="Signal")


async def test_a_cancel_asked_for_is_cancelled_and_one_of_its_own_a_failure() -> None:
    async def waits(_: Job) -> None:
        await asyncio.sleep(3_600)

    given = job()
    task = asyncio.create_task(run(waits, given))
    await asyncio.sleep(0)
    given.cancel()
    task.cancel()
    assert (await task).outcome is Outcome.CANCELLED

    async def raises(_: Job) -> None:
        raise asyncio.CancelledError

    assert (await run(raises)).error_kind == "CancelledError"


@pytest.mark.parametrize(
    ("at_the_cancel", "expected"),
    [
        ("return", Ending(Outcome.SUCCEEDED, output=b"tidied up")),
        ("raise", Ending(Outcome.FAILED, error="broken", error_kind="ValueError")),
        ("let out", Ending(Outcome.CANCELLED)),
        ("JobCancelled", Ending(Outcome.CANCELLED)),
    ],
)
async def test_a_cancelled_async_handler_has_the_last_word(at_the_cancel: str, expected: Ending) -> None:
    async def handler(given: Job) -> str:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # tidies up
            if at_the_cancel == "raise":
                raise ValueError("broken") from None
            if at_the_cancel == "JobCancelled":
                given.raise_if_cancelled()
            if at_the_cancel == "let out":
                raise
        return "tidied up"

    given = job()
    task = asyncio.create_task(run(handler, given))
    await asyncio.sleep(0)
    given.cancel()
    task.cancel()
    assert await task == expected


async def test_a_cancel_of_the_executor_is_let_out() -> None:
    async def waits(_: Job) -> None:
        await asyncio.sleep(3_600)

    task = asyncio.create_task(run(waits))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_plain_handler_sees_the_flag() -> None:
    def handler(given: Job) -> None:
        given.cancel()
        given.raise_if_cancelled()

    assert run_plain(Handler("h", handler, False), job(), LIMIT).outcome is Outcome.CANCELLED

    def must_not_run(_: Job) -> None:
        raise AssertionError

    cancelled = job()
    cancelled.cancel()
    assert run_plain(Handler("h", must_not_run, False), cancelled, LIMIT).outcome is Outcome.CANCELLED
    with pytest.raises(JobCancelled):
        cancelled.raise_if_cancelled()


@pytest.mark.parametrize(("end", "outcome"), [("raise", Outcome.CANCELLED), ("return", Outcome.SUCCEEDED)])
def test_a_plain_handler_that_waits_wakes_up_at_the_cancel(end: str, outcome: Outcome) -> None:
    waits = threading.Event()

    def handler(given: Job) -> None:
        assert not given.wait_until_cancelled(0.001)
        waits.set()
        assert given.wait_until_cancelled(60.0)
        assert given.wait_until_cancelled()
        if end == "raise":
            given.raise_if_cancelled()

    given = job()
    endings: list[Ending] = []
    thread = threading.Thread(
        target=lambda: endings.append(run_plain(Handler("h", handler, False), given, LIMIT))
    )
    thread.start()
    assert waits.wait(20)
    given.cancel()
    thread.join(20)
    assert [ending.outcome for ending in endings] == [outcome]


def test_progress_is_bytes_or_text_and_bounded_and_told_once_until_it_is_taken() -> None:
    told: list[bytes] = []
    given = Job(namespace="n", task_id="t", handler="h", on_news=lambda: told.append(given.progress))
    given.heartbeat("ein Drittel \u2153")
    given.heartbeat(b"\xff")
    given.heartbeat()
    assert told == ["ein Drittel \u2153".encode()]
    assert given.take_news() == b""
    given.heartbeat(b"x" * 1_024)
    with pytest.raises(ValueError, match="1024"):
        given.heartbeat("\u2153" * 342)
    assert [len(data) for data in told] == [15, 1_024]
    job().heartbeat("a job made by hand tells nobody")


async def test_mock_handlers() -> None:
    registry = mock_registry()
    assert registry.names == ("echo", "fail", "noop", "sleep")

    async def end(name: str, payload: bytes) -> Ending:
        handler = registry.get(name)
        assert handler is not None
        return await run_async(handler, job(payload), LIMIT)

    assert (await end("noop", b"x")).output == b""
    assert (await end("echo", b"\x00\xff")).output == b"\x00\xff"
    assert (await end("fail", b"why")).error == "why"
    assert (await end("sleep", b"0.001")).output == b"slept 0.001 s"
    assert (await end("sleep", b'{"seconds": 0}')).outcome is Outcome.SUCCEEDED
    assert (await end("sleep", b"-1")).error_kind == "ValueError"
    assert (await end("sleep", b"soon")).outcome is Outcome.FAILED


def test_the_registry_tells_async_from_plain_and_refuses_bad_names() -> None:
    registry = HandlerRegistry()

    class Callable:
        async def __call__(self, _: Job) -> None:
            return None

    @registry.handler("plain")
    def plain(_: Job) -> str:
        return ""

    registry.register("object", Callable())
    assert plain(job()) == ""
    assert [registry.get(name).is_async for name in ("plain", "object")] == [False, True]  # type: ignore[union-attr]
    for name in ("", "x" * 201, "plain"):
        with pytest.raises(ValueError, match=r"name|registered"):
            registry.register(name, plain)


def test_a_job_shows_its_times_in_utc() -> None:
    assert job().scheduled_time.isoformat() == "1970-01-01T00:00:01.500000+00:00"
