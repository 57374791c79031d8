"""gRPC settings of a node: message sizes and keep-alive. A frozen peer is noticed in about 4 s on either side."""

from __future__ import annotations

from typing import Any

LARGEST_MESSAGE = 16 * 1024 * 1024

_KEEPALIVE: list[tuple[str, Any]] = [
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
_SIZES: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
]

CHANNEL_OPTIONS: list[tuple[str, Any]] = [*_KEEPALIVE, *_SIZES]
SERVER_OPTIONS: list[tuple[str, Any]] = [
    *_KEEPALIVE,
    *_SIZES,
    # Without it two nodes could listen on one port and share its calls.
    ("grpc.so_reuseport", 0),
    # Clients may ping each second; with gRPC's default of 5 min they would be sent away (too_many_pings).
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
]
