"""Whether and when another attempt follows one that failed. PURE.

What a policy counts are failures, not attempts: an attempt whose executor died is not one (`core.delivery` decides there).
"""

from __future__ import annotations

from mainspring.server.core.model import Delivery
from mainspring.server.core.policies import Retry


def is_retried(retry: Retry, failure_count: int, error_kind: str, delivery: Delivery) -> bool:
    """Whether another attempt follows a failure.

    At most once means that one attempt is sent, whatever becomes of it (I7).

    Args:
        failure_count: failures of the execution, this one included.
        error_kind: of this one.
    """
    return (
        delivery is Delivery.AT_LEAST_ONCE
        and failure_count < retry.max_attempts
        and error_kind not in retry.non_retryable
    )


def wait_us(retry: Retry, failure_count: int, random: float) -> int:
    """How long to wait after the n-th failure, microseconds.

    The first wait is `initial_us`, each further one `multiplier` times the one before, none longer than `max_us`; then it is
    shortened by a random part of at most `jitter`, so that the longest waits of a herd spread too.

    Args:
        failure_count: n, from 1.
        random: in [0, 1).
    """
    longest_us = min(retry.initial_us, retry.max_us)
    for _ in range(failure_count - 1):
        if longest_us >= retry.max_us or longest_us * retry.multiplier == longest_us:
            break  # it grows no more: a power would overflow after some hundred failures
        longest_us = min(retry.max_us, round(longest_us * retry.multiplier))
    return max(0, longest_us - int(longest_us * retry.jitter * random))
