"""What an execution may have of its own, written by hand: how each store answers it."""

from __future__ import annotations

from collections.abc import Callable

from contract.store.builders import ALL, SECOND, T0, assignment, claimed_tasks, execution_of

from mainspring.server.core.model import ExecutionOrigin
from mainspring.server.persistence.store import Store

FAILED_ONCE = """UPDATE executions SET origin = 3, failure_count = 1, error_kind = 'ValueError', payload = X'6F776E',
progress = X'00FF', progress_at = 77"""


async def check_own_columns(store: Store, execute: Callable[[str], None]) -> None:
    """One execution waits for its second attempt, with a payload of its own and progress.

    Args:
        store: an empty one.
        execute: runs a statement on its database.
    """
    (waiting,) = await claimed_tasks(store, "me", 1, executor_id=None)
    assert (await execution_of(store, waiting.ref)).retry_at is None
    execute(FAILED_ONCE)

    (row,) = await store.load_open_executions(ALL, until_at=None, after=None, limit=9)
    assert (row.origin, row.failure_count) == (ExecutionOrigin.TRIGGER, 1)
    execution = await execution_of(store, waiting.ref)
    assert (execution.origin, execution.failure_count) == (ExecutionOrigin.TRIGGER, 1)
    assert execution.error_kind == "ValueError"
    assert (execution.progress, execution.progress_at) == (b"\x00\xff", 77)
    assert execution.retry_at == row.wake_at

    outcome = await store.assign("me", [assignment(waiting, "e")], now=T0 + 1, wake_at=T0 + 9 * SECOND)
    assert [sent.payload for sent in outcome.dispatchable] == [b"own"]
    assert (await execution_of(store, waiting.ref)).retry_at is None
