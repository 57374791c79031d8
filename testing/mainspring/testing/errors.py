"""What can go wrong while a local cluster is set up.

TestingError
+-- ServerUnavailableError   a server cannot be had on this machine (tests turn it into a skip or a failure)
+-- ChildFailedError         a child process ended or stayed silent; the last lines of its log are in the message
"""


class TestingError(Exception):
    """Base of everything raised by `mainspring.testing`."""

    __test__ = False


class ServerUnavailableError(TestingError):
    """A server cannot be fetched here; the message is one line and says what to set instead."""


class ChildFailedError(TestingError):
    """A child process ended early or did not become ready in time."""
