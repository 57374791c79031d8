"""The hash of a definition: stored with each task, so what a definition hashed to yesterday it must hash to tomorrow."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.server.core.model import Delivery, NewTask
from mainspring.server.rpc.validation import Limits, new_task
from mainspring.v1 import schedule_pb2, task_pb2

NOW = 1_900_000_000_000_000
LEAST, MOST = task_pb2.DELIVERY_MODE_AT_LEAST_ONCE, task_pb2.DELIVERY_MODE_AT_MOST_ONCE

CRON = schedule_pb2.Schedule(
    cron=schedule_pb2.CronSchedule(expressions=["0 9 * * *"], time_zone="Europe/Berlin")
)
AT = schedule_pb2.Schedule(at=Timestamp(seconds=int(datetime(2033, 1, 1, tzinfo=UTC).timestamp())))


def checked(schedule: schedule_pb2.Schedule, **fields: object) -> NewTask:
    task = task_pb2.Task(id="t", handler="report", payload=b"pay", schedule=schedule, **fields)  # type: ignore[arg-type]
    return new_task(task, prefix="task", now=NOW, partition_count=16, limits=Limits())


@pytest.mark.parametrize(
    ("schedule", "known"),
    [
        (CRON, "103f0090b8b7bdc4ed9faa6049cbc0c8"),
        (AT, "f3b72c6e3d434473d3acd5ad0e6bb788"),
    ],
    ids=["cron", "at"],
)
def test_definitions_from_before_there_was_a_delivery_keep_their_hash(
    schedule: schedule_pb2.Schedule, known: str
) -> None:
    assert checked(schedule).definition_hash.hex() == known
    assert checked(schedule, delivery=LEAST).definition_hash.hex() == known


def test_another_delivery_is_another_definition() -> None:
    assert checked(CRON, delivery=MOST).definition_hash != checked(CRON).definition_hash
    assert checked(CRON, delivery=MOST).definition_hash == checked(CRON, delivery=MOST).definition_hash


def test_no_delivery_is_at_least_once() -> None:
    assert checked(CRON).delivery is Delivery.AT_LEAST_ONCE
    assert checked(CRON, delivery=MOST).delivery is Delivery.AT_MOST_ONCE
