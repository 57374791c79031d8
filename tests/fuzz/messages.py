"""Instants, lengths and lines of text as the protos have them. All numbers are microseconds, UTC."""

from __future__ import annotations

import re

from google.protobuf import text_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_LONG_RUN = re.compile(r"(.)\1{50,}")
_LONGEST_LINE = 2_000


def stamp(at: int) -> Timestamp:
    """Microseconds as a Timestamp."""
    made = Timestamp()
    made.FromMicroseconds(at)
    return made


def length(microseconds: int) -> Duration:
    """Microseconds as a Duration."""
    made = Duration()
    made.FromMicroseconds(microseconds)
    return made


def short(message: Message) -> str:
    """A message on one line, long texts cut."""
    line = text_format.MessageToString(message, as_one_line=True, as_utf8=True)
    return _LONG_RUN.sub(r"\1\1...", line)[:_LONGEST_LINE]
