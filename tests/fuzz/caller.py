"""Calls a node as any client would, keeps what was said, and counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from fuzz.messages import short
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mainspring.v1 import (
    dev_service_pb2_grpc,
    execution_service_pb2_grpc,
    namespace_service_pb2_grpc,
    task_service_pb2_grpc,
)

Code = grpc.StatusCode
TIMEOUT_S: Final = 60.0
LATEST: Final = 60
"""So many lines of the conversation are told at most."""


class Difference(AssertionError):
    """The node did something else than the model."""


class Refused(Exception):
    """A call that did not answer: its code, and the fields that the refusal names."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.fields: list[str] = []
        self.reason = ""
        status = rpc_status.from_call(error)
        details = () if status is None else tuple(status.details)
        self.fields += violations(details)
        info = error_details_pb2.ErrorInfo()
        for packed in details:
            if packed.Unpack(info):
                self.reason = info.reason
        super().__init__(f"{self.code.name} {self.message}")


def violations(details: Iterable[Any]) -> list[str]:
    """The fields that the details of an error name."""
    bad = error_details_pb2.BadRequest()
    return [v.field for packed in details if packed.Unpack(bad) for v in bad.field_violations]


def first(answer: Any) -> Any:
    """An answer, or the first one of a stream, which ends with it."""
    if not isinstance(answer, grpc.Call):
        return answer
    try:
        return next(answer)  # type: ignore[call-overload]
    finally:
        answer.cancel()


@dataclass(slots=True)
class Tally:
    """What was called and what became of it.

    Attributes:
        codes: how often each method answered with each status.
        look_ups: the same of the calls that only compare the node with the model.
        states: in how many rows of the ledger an execution ended, by state.
        examples: nodes that were called.
        tasks: tasks that were registered.
        scheduled_times: scheduled times that were looked for in the ledger.
    """

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    look_ups: Counter[tuple[str, str]] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    examples: int = 0
    tasks: int = 0
    scheduled_times: int = 0

    @property
    def requests(self) -> int:
        """Calls in all."""
        return self.codes.total()

    def share_answered(self, counted: Counter[tuple[str, str]]) -> float:
        """Which part of some calls was answered, not refused."""
        return sum(count for (_, code), count in counted.items() if code == "OK") / max(1, counted.total())


class Caller:
    """The conversation with one node. Close it."""

    def __init__(self, address: str, tally: Tally) -> None:
        self.tally = tally
        self.lines: list[str] = []
        self._dial(address)

    def _dial(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stubs: tuple[Any, ...] = tuple(
            stub(self._channel)
            for stub in (
                task_service_pb2_grpc.TaskServiceStub,
                execution_service_pb2_grpc.ExecutionServiceStub,
                namespace_service_pb2_grpc.NamespaceServiceStub,
                dev_service_pb2_grpc.DevServiceStub,
            )
        )

    def close(self) -> None:
        """Hangs up."""
        self._channel.close()

    def redial(self, address: str) -> None:
        """Goes on with a node that was started anew."""
        self.lines.append("the node is started anew")
        self.close()
        self._dial(address)

    def call(self, method: str, request: Message, *, is_look_up: bool = False) -> Any:
        """Calls a method; of a stream only the first answer is awaited.

        Args:
            method: its name, of whatever service.
            is_look_up: it only compares.

        Raises:
            Refused: it did not answer.
            Difference: nor did it say what is wrong.
        """
        self.lines.append(f"{method} {short(request)}")
        call: Any = next(getattr(stub, method) for stub in self._stubs if hasattr(stub, method))
        return self._counted(method, lambda: first(call(request, timeout=TIMEOUT_S)), is_look_up)

    def call_raw(self, path: str, body: bytes) -> Any:
        """Calls a method with bytes that may be no request. Raises as `call`."""
        self.lines.append(f"{path} {body!r}")
        call: Any = self._channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        return self._counted(path.rpartition("/")[2], lambda: call(body, timeout=TIMEOUT_S))

    def _counted(self, method: str, call: Callable[[], Any], is_look_up: bool = False) -> Any:
        code = "OK"
        try:
            return call()
        except grpc.RpcError as error:
            refused = Refused(error)
            code = refused.code.name
            self.lines.append(f"    -> {refused}")
            self._check_helps(refused)
            raise refused from None
        finally:
            self.tally.codes[method, code] += 1
            if is_look_up:
                self.tally.look_ups[method, code] += 1

    def _check_helps(self, refused: Refused) -> None:
        """A refusal is the caller's to understand: never a crash, always a sentence, a reason and the field at fault."""
        if refused.code in (Code.INTERNAL, Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE):
            raise self.difference(f"it broke: {refused}")
        if not (refused.message and refused.reason):
            raise self.difference(f"no sentence or no reason: {refused}")
        if refused.code is Code.INVALID_ARGUMENT and not (refused.fields and all(refused.fields)):
            raise self.difference(f"no field: {refused}")

    def difference(self, message: str) -> Difference:
        """The exception that tells of one, with the conversation that led to it."""
        return Difference(f"{message[:3_000]}\n\nThe calls:\n" + "\n".join(self.lines[-LATEST:]))
