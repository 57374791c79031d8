"""The one place that opens gRPC channels of clients and executors, with their limits and keep-alive."""

import grpc
import grpc.aio

MAX_SEND_BYTES = 4 * 1024 * 1024
"""Largest message sent; the server's receive limit is no smaller."""

MAX_RECEIVE_BYTES = 16 * 1024 * 1024
"""Largest message received: a page of tasks carries their payloads."""

KEEPALIVE_MS = 2_000
"""Ping after this long without a frame, and give the peer as long to answer.

A frozen peer is then noticed in about 4 s, inside the 10 s default deadline of a call. The server must allow
it: `grpc.http2.min_ping_interval_without_data_ms` of at most this, else it answers with GOAWAY.
"""

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MAX_SEND_BYTES),
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
    # keepalive_timeout alone does not bound detection: without this a frozen peer took a minute.
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_MS),
    ("grpc.http2.max_pings_without_data", 0),
    # Reconnect soon: the callers have a backoff of their own, and fail fast meanwhile.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Two clients in one process share no connection, so closing one never disturbs the other.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(address: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """Return a channel to `host:port`, not yet connected; plain text when no credentials are given.

    Must be called on the event loop that will use it; the caller closes it.
    """
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
