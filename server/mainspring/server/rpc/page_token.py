"""Opaque page tokens that fit only the call they came from."""

from __future__ import annotations

import base64
import hashlib
import struct

from mainspring.server.errors import InvalidField

_CHECK_BYTES = 8


def _check(scope: str, body: bytes) -> bytes:
    return hashlib.sha256(scope.encode() + b"\x00" + body).digest()[:_CHECK_BYTES]


def encode_token(scope: str, partition_id: int, instant_at: int, key: bytes) -> str:
    """A token for the position (partition, instant, key) within the listing that `scope` describes."""
    body = struct.pack(">Iq", partition_id, instant_at) + key
    return base64.urlsafe_b64encode(_check(scope, body) + body).decode().rstrip("=")


def decode_token(scope: str, token: str) -> tuple[int, int, bytes] | None:
    """The position of a token; None for an empty one.

    Raises:
        InvalidField: it is no token of this listing: garbled, or made by a call with other fields.
    """
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        partition_id, instant_at = struct.unpack_from(">Iq", body)
    except (ValueError, struct.error):
        raise InvalidField("page_token", "is not a page token: pass next_page_token as it came") from None
    if check != _check(scope, body):
        raise InvalidField(
            "page_token", "belongs to a call with other fields: only page_token may change between pages"
        )
    return partition_id, instant_at, body[12:]
