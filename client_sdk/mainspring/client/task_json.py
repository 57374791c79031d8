"""Tasks to register as texts: the JSON form of `mainspring.v1.Task`, as `mainspring task get --json` prints it."""

from google.protobuf import json_format

from mainspring.client.convert import new_task_from_proto
from mainspring.client.task import NewTask
from mainspring.v1 import task_pb2


def new_task_from_json(text: str) -> NewTask:
    """Return the task that a JSON object says: names as in the proto, bytes in base64, durations such as "1.5s".

    What only the server fills in, such as the state, is ignored: what it has answered can be registered elsewhere.

    Raises:
        ValueError: It is no such object, or has no schedule.
    """
    try:
        message = json_format.Parse(text, task_pb2.Task())
    except json_format.ParseError as error:
        raise ValueError(str(error).partition("\n")[0]) from None  # the rest lists every name
    return new_task_from_proto(message)
