"""What a small node has in memory instead of a database, and how it refuses."""

import asyncio
from typing import Any

import grpc.aio
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from mainspring.v1 import execution_pb2, schedule_pb2, task_pb2

MEANING = "At 02:30 every day, Europe/Berlin."
Context = grpc.aio.ServicerContext[Any, Any]


async def refuse(context: Context, code: int, message: str, reason: str, **fields: str) -> None:
    """End the call with a status and google.rpc details, as a node does."""
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="mainspring.v1"))
    violations = [
        error_details_pb2.BadRequest.FieldViolation(
            field=name.replace("__", ".").replace("_0", "[0]"), description=words
        )
        for name, words in fields.items()
    ]
    details[1].Pack(error_details_pb2.BadRequest(field_violations=violations))
    status = status_pb2.Status(code=code, message=message, details=details if fields else details[:1])
    await context.abort_with_status(rpc_status.to_status(status))


class Memory:
    """Answers what it was told to, and remembers what it was asked.

    Attributes:
        address: host:port where it listens.
        tasks: By (namespace, id).
        executions: In the order in which they are listed.
        fires: What a created task and a preview answer as the times to come.
        backfill_counts: What calls of BackfillTask answer one after the other, each an hour further; then nothing is left.
        requests: Every request that came in.
        is_database_away: Whether tasks are answered with UNAVAILABLE.
        is_answer_lost: Whether the next change of a task is made and answered with UNAVAILABLE.
        watch_ends: How watches end behind their next executions, one after the other: with a status, or None in order.
        time_zone_databases: Those of the nodes n1, n2, ... that there are.
    """

    def __init__(self) -> None:
        self.address = ""
        self.tasks: dict[tuple[str, str], task_pb2.Task] = {}
        self.executions: list[execution_pb2.Execution] = []
        self.fires: list[schedule_pb2.FireTime] = []
        self.backfill_counts: list[int] = []
        self.requests: list[Any] = []
        self.is_database_away = False
        self.is_answer_lost = False
        self.watch_ends: list[int | None] = []
        self.time_zone_databases = ["2026f"]
        self.is_coordinator_connected = True
        self.owner_id = "n1"
        self.gives_away = True
        self._changes: list[execution_pb2.Execution] = []
        self._has_changed = asyncio.Event()

    def change(self, *executions: execution_pb2.Execution) -> None:
        """Have watches hear of executions, all in one message."""
        self._changes += executions
        self._has_changed.set()

    async def _answered(self, context: Context) -> None:
        if self.is_answer_lost:
            self.is_answer_lost = False
            await refuse(context, code_pb2.UNAVAILABLE, "the answer was lost", "STORE_UNAVAILABLE")
