"""SIGKILL in the middle of work: what was acknowledged is in the file, nothing is in it twice, and work goes on."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from contract.store.builders import SECOND, T0, every_execution, history, task_of, task_ref
from integration.sqlite.worker import PARTITIONS

from mainspring.server.core.model import Execution, ExecutionRef, ExecutionState, Task, TaskRef, TaskState
from mainspring.server.persistence.sqlite.store import SQLiteStore


@dataclass
class Acknowledged:
    """What the processes have said, over all rounds."""

    tasks: set[str] = field(default_factory=set)
    claimed: set[ExecutionRef] = field(default_factory=set)
    completed: dict[ExecutionRef, str] = field(default_factory=dict)
    lines: int = 0

    def hear(self, line: str) -> None:
        word, *names = line.split()
        self.lines += 1
        if word == "created":
            self.tasks.update(names)
        elif word == "claimed":
            refs = [_ref(name) for name in names]
            again = self.claimed.intersection(refs)
            assert not again, f"claimed twice: {again}"
            self.claimed.update(refs)
        elif word == "completed":
            for name in names:
                ref_name, _, owner_id = name.rpartition(":")
                assert _ref(ref_name) not in self.completed, f"ended twice: {name}"
                self.completed[_ref(ref_name)] = owner_id


def _ref(name: str) -> ExecutionRef:
    partition_id, scheduled_at, key = name.split(":")
    return ExecutionRef(int(partition_id), int(scheduled_at), bytes.fromhex(key))


def _work_and_die(path: Path, seed: int, dice: random.Random, heard: Acknowledged) -> None:
    """Runs a worker, kills it at some moment, and notes what it acknowledged until then."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "integration.sqlite.worker", str(path), str(seed)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as lines:
        for _ in range(dice.randrange(1, 60)):
            line = lines.readline()
            assert line, "the worker ended by itself"
            heard.hear(line)
        # Not after an acknowledgement but anywhere: in a transaction, in a checkpoint.
        time.sleep(dice.uniform(0, 0.03))
        process.kill()
        rest = lines.read()
    process.wait(10)
    # The last line may be cut.
    for line in rest.split("\n")[:-1]:
        heard.hear(line)


async def _read_everything(path: Path) -> tuple[dict[TaskRef, Task], dict[ExecutionRef, Execution]]:
    store = SQLiteStore(path, PARTITIONS)
    await store.start()
    tasks = await store.list_tasks("default", None, 1_000_000, with_payload=False)
    rows = await every_execution(store)
    heads = [task for task in tasks if task.last_scheduled_at is not None]
    for task in heads[:: max(1, len(heads) // 50)]:
        assert {row.ref for row in await history(store, task.ref)} == {
            row.ref for row in rows if task_of(row.ref) == task.ref
        }
    results = {row.ref: await store.get_execution(task_of(row.ref), row.ref.scheduled_at) for row in rows}
    await store.close()
    assert all(results.values())
    return (
        {task.ref: task for task in tasks},
        {ref: execution for ref, execution in results.items() if execution is not None},
    )


async def _judge(path: Path, heard: Acknowledged) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    tasks, rows = await _read_everything(path)
    assert {task_ref(name) for name in heard.tasks} <= tasks.keys()
    assert heard.claimed <= rows.keys()
    for ref, owner_id in heard.completed.items():
        assert (rows[ref].state, rows[ref].result.decode()) == (ExecutionState.SUCCEEDED, owner_id)
    times: dict[TaskRef, list[int]] = defaultdict(list)
    for ref in sorted(rows):
        times[task_of(ref)].append(ref.scheduled_at)
    for ref, task in tasks.items():
        # A claim is whole or not at all: every time up to the task's next one has its row, and no other time has.
        done = times[ref]
        assert done == [T0 + n * SECOND for n in range(len(done))]
        if task.state is TaskState.ACTIVE:
            assert task.scheduled_at == T0 + len(done) * SECOND
        else:
            assert task.state is TaskState.COMPLETED
            assert done
        assert task.last_scheduled_at == (done[-1] if done else None)


async def _kill_again_and_again(path: Path, rounds: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    heard = Acknowledged()
    for number in range(rounds):
        _work_and_die(path, seed + number, dice, heard)
        await _judge(path, heard)
    assert heard.lines >= rounds
    assert heard.tasks
    assert heard.completed


async def test_what_was_acknowledged_survives_sigkill(path: Path) -> None:
    await _kill_again_and_again(path, 5)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_what_was_acknowledged_survives_sigkill_twenty_times(path: Path) -> None:
    await _kill_again_and_again(path, 20)
