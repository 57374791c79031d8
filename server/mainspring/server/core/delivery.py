"""What becomes of an attempt that failed for its executor's sake, by the task's delivery. PURE.

    mishap       at least once     at most once
    NEVER_SENT   another attempt   another attempt
    NOT_MINE     another attempt   LOST
    REFUSED      another attempt   LOST
    SILENT       another attempt   LOST
    LEFT         another attempt   LOST

At most once counts what is *sent*, not what runs: an attempt that was handed to an executor's stream may have arrived, run
and been forgotten with the process, whatever is answered later. Only the process that recorded an attempt can know that it
never sent it, and only as long as it lives; who takes its partitions over asks the executor and cannot tell.
"""

from __future__ import annotations

from enum import Enum

from mainspring.server.core.model import Delivery

MOST_DETAIL = 1_000
"""Characters of the executor's own words that a reason keeps."""


class Mishap(Enum):
    """Why an attempt that is recorded for an executor brings no result."""

    NEVER_SENT = "was never sent to executor {executor}"
    """This very process recorded it and did not put it on a stream, for the session had ended."""
    NOT_MINE = "executor {executor} does not have it"
    """The executor was asked and disowned it: it never arrived there, or the process is another one."""
    REFUSED = "executor {executor} refused it"
    """The executor answered that it did not and will not start it."""
    SILENT = "executor {executor} was not heard of for its lease"
    """It may be dead, frozen or cut off."""
    LEFT = "executor {executor} left without a result of it"
    """It said goodbye: what it had told by then was taken."""


def may_send_again(delivery: Delivery, mishap: Mishap) -> bool:
    """Whether another attempt may be recorded and sent; else the execution ends as LOST."""
    return delivery is Delivery.AT_LEAST_ONCE or mishap is Mishap.NEVER_SENT


def lost_reason(mishap: Mishap, executor_id: str, attempt: int, detail: str = "") -> str:
    """The ledger's words for an execution that ends as LOST.

    Args:
        detail: the executor's own words, if it said any; cut after 1,000 characters.
    """
    what = mishap.value.format(executor=executor_id)
    said = f" ({detail[:MOST_DETAIL]})" if detail else ""
    return f"lost: {what}{said}; attempt {attempt} was sent, and the task is delivered at most once"
