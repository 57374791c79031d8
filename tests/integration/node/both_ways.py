"""The calls of the API through the Python client and through the command line, with the same values in and out."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from integration.cli.conftest import environment_of_command, run_command

from mainspring.client import (
    At,
    ChangedTasks,
    Cron,
    Every,
    Execution,
    ExecutionState,
    Explanation,
    MainspringClient,
    MainspringError,
    Namespace,
    NamespaceUpdate,
    NewTask,
    RetryPolicy,
    Schedule,
    Slo,
    Task,
    TaskChange,
    TaskCount,
    TaskDefaults,
    TaskFilter,
    TaskUpdate,
    Timeouts,
)
from mainspring.client.convert import (
    execution_from_proto,
    explanation_from_proto,
    new_task_to_proto,
    task_count_from_proto,
    task_from_proto,
)
from mainspring.client.namespace_convert import namespace_from_proto
from mainspring.client.slo_calls import slo_from_proto
from mainspring.v1 import (
    execution_pb2,
    execution_service_pb2,
    namespace_service_pb2,
    task_pb2,
    task_service_pb2,
)

ERRORS = {kind.code: kind for kind in MainspringError.__subclasses__()}
OPTIONS = {"changed_by": "by", "task_id": "id", "lateness_objective": "objective"}
"""Options that are called otherwise than the arguments of the client."""


class ByClient(MainspringClient):
    """The client as it is."""

    @property
    def watcher(self) -> MainspringClient:
        """Who looks again and again, where a command each time would take half a second."""
        return self

    @asynccontextmanager
    async def watched(self, task_id: str, **said: Any) -> AsyncIterator[AsyncIterator[Execution]]:
        """What changes from now on."""
        async with aclosing(self.watch_executions(task_id, **said)) as watch:
            assert await watch.begin()
            yield watch


class ByCommand:
    """Methods of the client as commands, as far as they are asked for; each command is a process of its own."""

    def __init__(self, address: str, watcher: MainspringClient) -> None:
        self.watcher = watcher
        self._environment = environment_of_command(MAINSPRING_ADDRESS=address)

    async def create_task(self, handler: str, schedule: Schedule, **said: Any) -> Task:
        answer = await self._json("task", "create", handler, *_when(schedule), **said)
        return task_from_proto(_read(answer["task"], task_pb2.Task()))

    async def create_tasks(self, tasks: Sequence[NewTask]) -> list[Task]:
        lines = [
            json_format.MessageToJson(new_task_to_proto(task), indent=None, preserving_proto_field_name=True)
            for task in tasks
        ]
        done = await run_command(
            "task",
            "create-many",
            "-",
            *("--timeout", "30s", "--json"),
            stdin="\n".join(lines).encode(),
            environment=self._environment,
        )
        assert done.code == 0, done.stderr
        answers = [json.loads(line)["task"] for line in done.stdout.splitlines()]
        return [task_from_proto(_read(answer, task_pb2.Task())) for answer in answers]

    async def get_task(self, task_id: str, **said: Any) -> Task:
        return await self._task("get", task_id, **said)

    async def update_task(self, task_id: str, update: TaskUpdate, **said: Any) -> Task:
        changes = {name: getattr(update, name) for name in update.changed()}
        answer = await self._json("task", "update", task_id, **changes, **said)
        return task_from_proto(_read(answer["task"], task_pb2.Task()))

    async def pause_task(self, task_id: str, **said: Any) -> Task:
        return await self._task("pause", task_id, **said)

    async def resume_task(self, task_id: str, **said: Any) -> Task:
        return await self._task("resume", task_id, **said)

    async def cancel_task(self, task_id: str, **said: Any) -> Task:
        return await self._task("cancel", task_id, **said)

    async def delete_task(self, task_id: str, **said: Any) -> None:
        await self._json("task", "delete", task_id, **said)

    async def trigger_task(self, task_id: str, **said: Any) -> Execution:
        return await self._execution("task", "trigger", task_id, **said)

    async def backfill_task(self, task_id: str, start: datetime, end: datetime, **said: Any) -> int:
        answer = await self._json("task", "backfill", task_id, start=start, end=end, **said)
        return int(answer["count"])

    async def change_tasks(
        self, filter: TaskFilter, change: TaskChange, *, dry_run: bool = False, **said: Any
    ) -> ChangedTasks:
        words = [*_which(filter), f"--{change.name.lower()}", "--dry-run" if dry_run else "--yes"]
        return ChangedTasks(**await self._json("task", "change", *words, **said))

    async def count_tasks(self, *, filter: TaskFilter, **said: Any) -> TaskCount:
        answer = await self._json("task", "count", *_which(filter), **said)
        return task_count_from_proto(_read(answer, task_service_pb2.CountTasksResponse()))

    async def list_tasks(self, *, filter: TaskFilter, **said: Any) -> AsyncIterator[Task]:
        for each in await self._json("task", "list", *_which(filter), "--limit", "0", **said):
            yield task_from_proto(_read(each, task_pb2.Task()))

    async def list_executions(
        self, task_id: str | None = None, *, states: Sequence[ExecutionState] = (), **said: Any
    ) -> AsyncIterator[Execution]:
        words = [task_id] if task_id else []
        for state in states:
            words += ["--state", state.name.lower()]
        for each in await self._json("execution", "list", *words, "--limit", "0", **said):
            yield execution_from_proto(_read(each, execution_pb2.Execution()))

    async def get_execution(self, task_id: str, at: datetime, **said: Any) -> Execution:
        return await self._execution("execution", "get", task_id, at.isoformat(), **said)

    async def cancel_execution(self, task_id: str, at: datetime, **said: Any) -> Execution:
        return await self._execution("execution", "cancel", task_id, at.isoformat(), **said)

    async def retry_execution(self, task_id: str, at: datetime, **said: Any) -> Execution:
        return await self._execution("execution", "retry", task_id, at.isoformat(), **said)

    async def explain_execution(self, task_id: str, at: datetime, **said: Any) -> Explanation:
        answer = await self._json("execution", "explain", task_id, at.isoformat(), **said)
        return explanation_from_proto(_read(answer, execution_service_pb2.ExplainExecutionResponse()))

    async def get_slo(self, start: datetime, **said: Any) -> Slo:
        answer = await self._json("execution", "slo", start=start, **said)
        return slo_from_proto(_read(answer, execution_service_pb2.GetSloResponse()))

    async def create_namespace(
        self, name: str, *, retention: timedelta, task_defaults: TaskDefaults
    ) -> Namespace:
        said = {} if task_defaults.retry is None else {"retry": task_defaults.retry}
        return await self._namespace("create", name, retention=retention, **said)

    async def update_namespace(self, name: str, update: NamespaceUpdate, **said: Any) -> Namespace:
        changes = {name: getattr(update, name) for name in update.changed()}
        return await self._namespace("update", name, **changes, **said)

    async def get_namespace(self, name: str) -> Namespace:
        return await self._namespace("get", name)

    async def list_namespaces(self) -> AsyncIterator[Namespace]:
        for each in await self._json("namespace", "list", "--limit", "0"):
            yield namespace_from_proto(_read(each, namespace_service_pb2.Namespace()))

    @asynccontextmanager
    async def watched(self, task_id: str, **said: Any) -> AsyncIterator[AsyncIterator[Execution]]:
        """What changes from now on."""
        words = ["execution", "watch", task_id, "--json", *_options(said)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mainspring.cli", *words),
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        assert process.stdout is not None
        lines = process.stdout

        async def executions() -> AsyncIterator[Execution]:
            while line := await lines.readline():
                answer = _read(json.loads(line), execution_service_pb2.WatchExecutionsResponse())
                for each in answer.executions:
                    yield execution_from_proto(each)

        try:
            first = json.loads(await lines.readline())
            assert first["resume_token"]
            assert first["executions"] == []
            yield executions()
        finally:
            process.terminate()
            await process.wait()

    async def _task(self, *words: str, **said: Any) -> Task:
        return task_from_proto(_read(await self._json("task", *words, **said), task_pb2.Task()))

    async def _execution(self, *words: str, **said: Any) -> Execution:
        return execution_from_proto(_read(await self._json(*words, **said), execution_pb2.Execution()))

    async def _namespace(self, *words: str, **said: Any) -> Namespace:
        answer = await self._json("namespace", *words, **said)
        return namespace_from_proto(_read(answer, namespace_service_pb2.Namespace()))

    async def _json(self, *words: str, **said: Any) -> Any:
        done = await run_command(
            *words, *_options(said), "--timeout", "30s", "--json", environment=self._environment
        )
        if done.code == 1:
            error = json.loads(done.stderr)["error"]
            raise ERRORS[error["code"]](error["message"], reason=error["reason"])
        return done.json()


def _read(document: Any, message: Any) -> Any:
    assert isinstance(message, Message)
    return json_format.ParseDict(document, message)


def _options(said: dict[str, Any]) -> list[str]:
    """The arguments of a method as options; None is what a command clears."""
    words: list[str] = []
    for name, value in said.items():
        option = f"--{OPTIONS.get(name, name).replace('_', '-')}"
        match value:
            case None:
                words += ["--clear", name]
            case RetryPolicy():
                words += ["--retry-attempts", str(value.max_attempts)]
                words += ["--retry-backoff", _duration(value.initial_backoff)]
                words += [
                    each for kind in value.non_retryable_error_kinds for each in ("--no-retry-on", kind)
                ]
            case Timeouts():
                limits = {
                    "start": value.schedule_to_start,
                    "run": value.start_to_finish,
                    "heartbeat": value.heartbeat,
                }
                words += [
                    each
                    for stage, limit in limits.items()
                    if limit
                    for each in (f"--timeout-{stage}", _duration(limit))
                ]
            case timedelta():
                words += [option, _duration(value)]
            case datetime():
                words += [option, value.isoformat()]
            case dict():
                words += [each for key, text in value.items() for each in ("--label", f"{key}={text}")]
            case _:
                words += [option, str(value)]
    return words


def _when(schedule: Schedule) -> list[str]:
    match schedule:
        case At():
            return ["--at", schedule.time.isoformat()]
        case Every():
            return ["--every", _duration(schedule.every)]
        case Cron():
            return ["--cron", *schedule.expressions]
    raise AssertionError(schedule)


def _which(filter: TaskFilter) -> list[str]:
    states = [each for state in filter.states for each in ("--state", state.name.lower())]
    return [*states, *_options({"label": dict(filter.labels)})]


def _duration(length: timedelta) -> str:
    return f"{length // timedelta(microseconds=1)}us"
