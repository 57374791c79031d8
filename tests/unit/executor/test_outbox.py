"""Outbox: what is coalesced and how it is cut."""

from mainspring.executor.attempts import Answer, Attempt, AttemptBook, Ending, Knowledge, Outcome
from mainspring.executor.outbox import MAX_FRAME_BYTES, MAX_FRAME_ITEMS, Outbox
from mainspring.v1 import executor_service_pb2 as pb


def ended(number: int, output: bytes = b"") -> Attempt:
    book = AttemptBook()
    attempt = book.accept((0, number.to_bytes(16, "big"), 1, 1), 4, "a")
    book.finish(attempt, Ending(Outcome.SUCCEEDED, output=output))
    return attempt


async def test_everything_ready_goes_into_one_frame() -> None:
    outbox = Outbox()
    outbox.credit(3, 0)
    outbox.credit(4, 2)
    outbox.heartbeat(1)
    outbox.heartbeat(2)
    outbox.drain()
    attempt = ended(1, b"out")
    outbox.started(attempt)
    outbox.result(attempt)
    outbox.result(attempt)
    attempt.started_at_s = 1.5
    outbox.answers([Answer(attempt.key, Knowledge.RUNNING, attempt)])
    frame = outbox.take_frame(4.0)
    assert frame is not None
    assert frame.reconcile[0].since_start_us == frame.result[0].since_start_us == 2_500_000
    assert [(credit.granted, credit.wanted_back) for credit in frame.credit] == [(7, 2)]
    assert [beat.sequence for beat in frame.heartbeat] == [2]
    assert len(frame.drain) == len(frame.started) == len(frame.reconcile) == 1
    assert [(result.epoch, result.outcome, result.output) for result in frame.result] == [
        (4, pb.RESULT_OUTCOME_SUCCEEDED, b"out")
    ]
    assert frame.result[0].attempt == frame.started[0].attempt
    assert outbox.take_frame(0.0) is None


async def test_the_hello_goes_first_and_alone() -> None:
    outbox = Outbox()
    outbox.credit(1, 0)
    outbox.hello(pb.ExecutorHello(executor_id="x"))
    first = outbox.take_frame(0.0)
    assert first is not None
    assert first.hello[0].executor_id == "x"
    assert not first.credit


async def test_frames_are_bounded_by_items_and_no_result_overtakes_its_start() -> None:
    outbox = Outbox()
    attempts = [ended(number) for number in range(MAX_FRAME_ITEMS + 10)]
    for attempt in attempts:
        outbox.started(attempt)
        outbox.result(attempt)
    seen: set[bytes] = set()
    frames = 0
    while (frame := outbox.take_frame(0.0)) is not None:
        frames += 1
        assert len(frame.started) + len(frame.result) <= MAX_FRAME_ITEMS
        seen.update(start.attempt.task_key for start in frame.started)
        assert all(result.attempt.task_key in seen for result in frame.result)
    assert frames == 3
    assert len(seen) == len(attempts)


async def test_frames_are_bounded_by_bytes() -> None:
    outbox = Outbox()
    for number in range(20):
        outbox.result(ended(number, bytes(256 * 1024)))
    sizes = []
    while (frame := outbox.take_frame(0.0)) is not None:
        sizes.append(frame.ByteSize())
    assert len(sizes) == 5
    assert max(sizes) < MAX_FRAME_BYTES + 256 * 1024 + 1_000


async def test_a_saved_result_is_withdrawn() -> None:
    outbox = Outbox()
    attempt = ended(1)
    outbox.result(attempt)
    outbox.withdraw(attempt.key)
    frame = outbox.take_frame(0.0)
    assert frame is None


async def test_the_latest_progress_of_each_attempt_goes_out_behind_its_start() -> None:
    outbox = Outbox()
    book = AttemptBook()
    first, second = (book.accept((0, bytes(16), number, 1), 4, "a") for number in (1, 2))
    outbox.progress(first, b"10 %")
    outbox.progress(first, b"20 %")
    outbox.progress(second, b"")
    for attempt in (first, second):
        outbox.started(attempt)
    frame = outbox.take_frame(0.0)
    assert frame is not None
    assert [(p.attempt.scheduled_at_us, p.epoch, p.progress) for p in frame.progress] == [
        (1, 4, b"20 %"),
        (2, 4, b""),
    ]
    assert len(frame.started) == 2
    outbox.progress(first, b"100 %")
    book.finish(first, Ending(Outcome.SUCCEEDED))
    outbox.result(first)
    frame = outbox.take_frame(0.0)
    assert frame is not None
    assert (len(frame.progress), len(frame.result)) == (0, 1), "what has ended has no progress"


async def test_progress_waits_for_its_start_and_frames_stay_small() -> None:
    outbox = Outbox()
    book = AttemptBook()
    attempts = [book.accept((0, bytes(16), number, 1), 4, "a") for number in range(MAX_FRAME_ITEMS + 500)]
    for attempt in attempts:
        outbox.started(attempt)
        outbox.progress(attempt, bytes(1_024))
    seen: set[int] = set()
    reported = 0
    while (frame := outbox.take_frame(0.0)) is not None:
        assert len(frame.started) + len(frame.progress) <= MAX_FRAME_ITEMS
        assert frame.ByteSize() < MAX_FRAME_BYTES + 100_000
        seen.update(start.attempt.scheduled_at_us for start in frame.started)
        assert all(p.attempt.scheduled_at_us in seen for p in frame.progress)
        reported += len(frame.progress)
    assert reported == len(attempts)
