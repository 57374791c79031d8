"""ThreadPool: threads are reused and never fewer than the calls in flight."""

import threading

from mainspring.executor.threads import ThreadPool

DEADLINE_S = 10


def test_calls_in_flight_run_side_by_side_and_threads_are_reused() -> None:
    pool = ThreadPool()
    for _ in range(3):
        barrier = threading.Barrier(9)
        for _ in range(8):
            pool.submit(lambda barrier=barrier: barrier.wait(DEADLINE_S))
        barrier.wait(DEADLINE_S)  # breaks when a call found no thread
    assert pool.count <= 24
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(DEADLINE_S)
    pool.close()
