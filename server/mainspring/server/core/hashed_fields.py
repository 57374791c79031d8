"""H in cron expressions: a value of its own for each task, so that tasks of one expression do not all fire together.

    H         one value of the field             H(a-b)      one value from a to b
    H/n       every n, from one of the first n   H(a-b)/n    the same between a and b

Day of month takes 1 to 28 where no range is given, so that no month is passed over. The value comes from a hash of the
task key and the name of the field, so that two fields of a task differ. It is resolved once, when a task is
registered: stored expressions hold plain values, and a hash never decides about a stored task again.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from mainspring.server.core.cron_fields import FIELDS, BadCronExpression, check_range, split_fields

_TOKEN: Final = re.compile(r"H(?:\((\d{1,2})-(\d{1,2})\))?(?:/(\d{1,2}))?")
_HIGHEST: Final = {"day-of-month": 28, "day-of-week": 6}


def has_hash(normal: str) -> bool:
    """Whether a normalised expression asks for values of the task."""
    return any(token.startswith("H") for field in normal.split(" ") for token in field.split(","))


def resolve_hashes(normal: str, task_key: bytes) -> str:
    """A normalised expression with each H replaced by values of the task.

    Raises:
        BadCronExpression: not the grammar above, or its range or step does not fit the field.
    """
    fields = split_fields(normal)
    resolved = [
        ",".join(
            _resolved(index, token, task_key) if token.startswith("H") else token for token in f.split(",")
        )
        for index, f in enumerate(fields)
    ]
    return " ".join(resolved if len(normal.split(" ")) == 6 else resolved[1:])


def _resolved(index: int, token: str, task_key: bytes) -> str:
    name, lowest, highest, _ = FIELDS[index]
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise BadCronExpression(
            f"{name} {token!r} is not understood: H takes the forms H, H/5, H(0-29), H(0-29)/5"
        )
    low, high, step = match.groups()
    if low is not None:
        check_range(index, f"{low}-{high}")
        lowest, highest = int(low), int(high)
        if lowest > highest:
            raise BadCronExpression(f"{name} {token!r}: the range of an H cannot wrap")
    else:
        highest = _HIGHEST.get(name, highest)
    size = highest - lowest + 1
    if step is None:
        return str(lowest + _hash(task_key, name) % size)
    if not 1 <= int(step) <= size:
        raise BadCronExpression(f"{name} {token!r}: the step must lie between 1 and {size}")
    first = lowest + _hash(task_key, name) % int(step)
    return f"{first}-{highest}/{int(step)}" if first + int(step) <= highest else str(first)


def _hash(task_key: bytes, field: str) -> int:
    return int.from_bytes(blake2b(field.encode(), digest_size=8, key=task_key).digest(), "big")
