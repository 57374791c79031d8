"""What calls have made of single scheduled times that are still to come. PURE.

A task keeps its adjustments in two columns: a short text that the window and the claim know, and the payloads, which only
the claim that records such a time reads. Both are None for the tasks without any, and what was used is dropped by the
claim that moves the task on.

Adjusted due times keep the order of the scheduled times, as the jitter does (`due_time`):

    due time of the one before < adjusted due time < following scheduled time, and its adjusted due time

so the claim may go through scheduled times one after the other and stop at the first that is not due.

Instants are int microseconds UTC.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from mainspring.server.core import due_time
from mainspring.server.core.next_fire import last_fire, next_fire
from mainspring.server.core.schedule import Schedule

MOST_ADJUSTMENTS: Final = 64
"""Of one task at a time."""
SKIPPED: Final = "left out by a call"
"""Why, in the ledger."""

_IS_SKIPPED, _HAS_PAYLOAD = 1, 2
_PAYLOAD_HEAD: Final = struct.Struct(">qI")


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What becomes of one scheduled time.

    Attributes:
        due_at: when it is due; None: as the schedule says.
        is_skipped: whether it is left out. Then the others are not set.
        has_payload: whether it has a payload of its own.
    """

    due_at: int | None = None
    is_skipped: bool = False
    has_payload: bool = False


Adjustments = Mapping[int, Adjustment]
"""By scheduled time."""

AS_PLANNED: Final = Adjustment()
NO_ADJUSTMENTS: Final[Adjustments] = MappingProxyType({})


def due_at(schedule: Schedule, task_key: bytes, scheduled_at: int, adjustments: Adjustments) -> int:
    """When a scheduled time of a task is acted on; see `due_time.due_at`."""
    adjusted = adjustments.get(scheduled_at)
    if adjusted is not None and adjusted.due_at is not None:
        return adjusted.due_at
    return due_time.due_at(schedule, task_key, scheduled_at)


def encode(adjustments: Adjustments) -> str | None:
    """The text that is stored: at most 44 characters each; None when there are none."""
    if not adjustments:
        return None
    return json.dumps(
        [
            [at, one.due_at, one.is_skipped * _IS_SKIPPED + one.has_payload * _HAS_PAYLOAD]
            for at, one in sorted(adjustments.items())
        ],
        separators=(",", ":"),
    )


def decode(text: str | None) -> Adjustments:
    """The reverse of `encode`."""
    return NO_ADJUSTMENTS if text is None else _decoded(text)


@lru_cache(maxsize=1_024)
def _decoded(text: str) -> Adjustments:
    return MappingProxyType(
        {
            at: Adjustment(due, bool(flags & _IS_SKIPPED), bool(flags & _HAS_PAYLOAD))
            for at, due, flags in json.loads(text)
        }
    )


def left_from(text: str | None, from_at: int | None) -> str | None:
    """What is left of a stored text for a task whose next scheduled time is this one; None: for one that has none."""
    if text is None or from_at is None:
        return None
    return encode({at: one for at, one in decode(text).items() if at >= from_at})


def kept_with(text: str | None, schedule: Schedule, task_key: bytes, next_at: int) -> Adjustments:
    """What of a stored text a task keeps with another schedule: the adjustments of times that this one has, too.

    A due time that would change the order of the due times goes.

    Args:
        next_at: the first scheduled time of that schedule.
    """
    kept: dict[int, Adjustment] = {}
    for at, one in decode(text).items():
        if at < next_at or next_fire(schedule, at - 1) != at:
            continue
        if one.due_at is not None:
            earlier_at = last_fire(schedule, next_at - 1, at)
            later_at = next_fire(schedule, at)
            is_early = earlier_at is not None and one.due_at <= due_time.due_at(
                schedule, task_key, earlier_at
            )
            if is_early or (later_at is not None and one.due_at >= later_at):
                one = replace(one, due_at=None)
        if one != AS_PLANNED:
            kept[at] = one
    return kept


def encode_payloads(payloads: Mapping[int, bytes]) -> bytes | None:
    """Payloads by scheduled time as they are stored; None when there are none."""
    if not payloads:
        return None
    return b"".join(
        _PAYLOAD_HEAD.pack(at, len(payload)) + payload for at, payload in sorted(payloads.items())
    )


def decode_payloads(stored: bytes | None) -> dict[int, bytes]:
    """The reverse of `encode_payloads`."""
    payloads: dict[int, bytes] = {}
    position = 0
    while stored is not None and position < len(stored):
        at, length = _PAYLOAD_HEAD.unpack_from(stored, position)
        position += _PAYLOAD_HEAD.size
        payloads[at] = stored[position : position + length]
        position += length
    return payloads
