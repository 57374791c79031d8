"""How much of what is drawn a run of the tests looks at: all of it in `make test-full`, a quarter in `make test`."""

import os

EVERYTHING = os.environ.get("MAINSPRING_TESTS") == "all"


def draws(count: int) -> int:
    """How many examples or seeds of `count` this run takes."""
    return count if EVERYTHING else -(-count // 4)
