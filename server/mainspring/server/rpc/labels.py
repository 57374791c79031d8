"""Labels of tasks: checked, as stored text, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mainspring.server.errors import InvalidField

MOST_LABELS = 32
LABEL_CHARACTERS = 63
LONGEST_TEXT = 4_300
"""Characters of stored labels: the width of their column. What is within the other bounds fits, but for quotes and
backslashes, which take two each."""


def checked_labels(labels: Mapping[str, str], field: str = "labels") -> str:
    """The stored text of a caller's labels: a JSON object, keys sorted, without spaces; empty for none.

    Raises:
        InvalidField: `field`, or one label as `field[key]`.
    """
    if not labels:
        return ""
    if len(labels) > MOST_LABELS:
        raise InvalidField(field, f"holds {len(labels)}; at most {MOST_LABELS} are allowed")
    for key, value in sorted(labels.items()):
        at = f"{field}[{key[:LABEL_CHARACTERS]}]"
        if not 1 <= len(key) <= LABEL_CHARACTERS:
            raise InvalidField(at, f"has a key of {len(key)} characters; 1 to {LABEL_CHARACTERS} are allowed")
        if len(value) > LABEL_CHARACTERS:
            raise InvalidField(at, f"has {len(value)} characters; at most {LABEL_CHARACTERS} are allowed")
        if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in key + value):
            raise InvalidField(field, "hold a control character")
    text = json.dumps(dict(labels), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text) > LONGEST_TEXT:
        raise InvalidField(
            field, f"take {len(text):,} characters when stored; at most {LONGEST_TEXT:,} are allowed"
        )
    return text


def labels_of(text: str) -> dict[str, str]:
    """The labels of a stored text."""
    labels: dict[str, str] = json.loads(text) if text else {}
    return labels
