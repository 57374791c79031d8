"""The fence token handed to user code. PURE."""

ATTEMPT_BITS = 15
LARGEST_ATTEMPT = (1 << ATTEMPT_BITS) - 1


def fence_token(scheduled_at: int, attempt: int) -> int:
    """One signed 64-bit number that rises per task in schedule order and with each attempt of one execution.

    The scheduled time in milliseconds (recurring times lie at least 1 s apart) shifted left by 15 bits, plus the
    attempt, which stops counting at 32,767. Fits until the year 10,889.

    Args:
        scheduled_at: microseconds UTC.
        attempt: numbered from 1.
    """
    return (scheduled_at // 1000 << ATTEMPT_BITS) + min(attempt, LARGEST_ATTEMPT)
