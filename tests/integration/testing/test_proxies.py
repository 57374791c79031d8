"""The proxies of the fault harness, with real sockets and real MariaDB."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pymysql
import pytest

from mainspring.testing.member_process import import_environment
from mainspring.testing.ports import LOOPBACK
from mainspring.testing.proxy.commits import CommitAction
from mainspring.testing.proxy.link import Mode
from mainspring.testing.proxy.proxies import Proxies
from mainspring.testing.sql_server import SqlServer, connect


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    made = Proxies().start()
    yield made
    made.close()


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    server = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(1024):
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def ask(connection: socket.socket, text: bytes = b"hello", timeout_s: float = 5.0) -> bytes:
    connection.settimeout(timeout_s)
    connection.sendall(text)
    return connection.recv(1024)


def test_what_is_sent_comes_back_and_a_cut_resets_old_and_new_connections(
    proxies: Proxies, echo: int
) -> None:
    port = proxies.open("a", echo)
    with socket.create_connection((LOOPBACK, port)) as connection:
        assert ask(connection) == b"hello"
        proxies.set_mode("a", Mode.CUT)
        with pytest.raises(ConnectionResetError):
            ask(connection)
    with socket.create_connection((LOOPBACK, port)) as connection, pytest.raises(ConnectionError):
        ask(connection)
    proxies.set_mode("a", Mode.PASS)
    with socket.create_connection((LOOPBACK, port)) as connection:
        assert ask(connection) == b"hello"


def test_a_frozen_link_loses_nothing_and_closes_nothing(proxies: Proxies, echo: int) -> None:
    port = proxies.open("a", echo)
    with socket.create_connection((LOOPBACK, port)) as connection:
        assert ask(connection) == b"hello"
        proxies.set_mode("a", Mode.FREEZE)
        with pytest.raises(TimeoutError):
            ask(connection, b"later", timeout_s=0.3)
        proxies.set_mode("a", Mode.PASS)
        connection.settimeout(5.0)
        assert connection.recv(1024) == b"later"


def test_a_delay_holds_back_both_directions(proxies: Proxies, echo: int) -> None:
    port = proxies.open("a", echo)
    with socket.create_connection((LOOPBACK, port)) as connection:
        assert ask(connection) == b"hello"
        proxies.set_mode("a", Mode.DELAY, delay_s=0.2)
        began_s = time.monotonic()
        assert ask(connection) == b"hello"
        assert time.monotonic() - began_s >= 0.4


def test_a_cut_may_concern_the_connections_of_some_processes_alone(proxies: Proxies, echo: int) -> None:
    port = proxies.open("a", echo)
    program = (
        "import socket, sys\n"
        f"c = socket.create_connection(('{LOOPBACK}', {port}))\n"
        "for line in sys.stdin:\n"
        "    try:\n"
        "        c.sendall(b'hi'); print(c.recv(10), flush=True)\n"
        "    except OSError as error: print(type(error).__name__, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None

        def say() -> str:
            print("go", file=other.stdin, flush=True)
            return str(other.stdout.readline()).strip()

        with socket.create_connection((LOOPBACK, port)) as mine:
            assert say() == "b'hi'"
            assert ask(mine) == b"hello"
            proxies.set_mode("a", Mode.CUT, only_pids=[other.pid])
            assert say() in ("ConnectionResetError", "BrokenPipeError")
            assert ask(mine) == b"hello"
        other.stdin.close()


def claim(connection: "pymysql.Connection[pymysql.cursors.Cursor]", number: int) -> None:
    """What a claim looks like on the wire: a transaction that inserts executions, and COMMIT as a packet of its own."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"INSERT INTO executions (number) VALUES ({number})")
        cursor.execute("COMMIT")


@pytest.fixture
def database(mariadb: SqlServer, proxies: Proxies) -> Iterator[tuple[str, str]]:
    """URLs of a database with a table of executions: by the link, and directly."""
    with mariadb.fresh_database() as url:
        with connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE executions (number INT PRIMARY KEY) ENGINE=InnoDB")
            cursor.execute("CREATE TABLE others (number INT PRIMARY KEY) ENGINE=InnoDB")
        head, _, rest = url.rpartition("@")
        server_port = int(rest.partition("/")[0].rpartition(":")[2])
        port = proxies.open("sql", server_port)
        yield f"{head}@{LOOPBACK}:{port}/{rest.partition('/')[2]}", url


def numbers(url: str) -> list[int]:
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT number FROM executions ORDER BY number")
        return [row[0] for row in cursor.fetchall()]


def test_a_cut_reply_leaves_a_commit_that_took_effect(proxies: Proxies, database: tuple[str, str]) -> None:
    linked, direct = database
    proxies.set_trap("sql", CommitAction.CUT_REPLY)
    with pytest.raises(pymysql.err.OperationalError):
        claim(connect(linked), 1)
    assert numbers(direct) == [1]
    assert proxies.counts("sql").trapped == 1
    with connect(linked) as connection:
        claim(connection, 2)  # the trap acts once
    assert numbers(direct) == [1, 2]


def test_a_cut_request_leaves_nothing(proxies: Proxies, database: tuple[str, str]) -> None:
    linked, direct = database
    proxies.set_trap("sql", CommitAction.CUT_REQUEST)
    with pytest.raises(pymysql.err.OperationalError):
        claim(connect(linked), 1)
    assert numbers(direct) == []


def test_commits_of_other_transactions_pass_the_trap(proxies: Proxies, database: tuple[str, str]) -> None:
    linked, _ = database
    proxies.set_trap("sql", CommitAction.CUT_REQUEST)
    with connect(linked) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO others (number) VALUES (1)")
        cursor.execute("COMMIT")
    assert proxies.counts("sql").trapped == 0


CLIENT = """
import sys
from mainspring.testing.sql_server import connect
with connect(sys.argv[1], timeout_s=60) as connection, connection.cursor() as cursor:
    print("ready", flush=True)
    sys.stdin.readline()
    for statement in ("BEGIN", "INSERT INTO executions (number) VALUES (1)", "COMMIT"):
        cursor.execute(statement)
"""


def test_a_client_is_stopped_at_its_commit_which_arrives_when_it_is_released(
    proxies: Proxies, database: tuple[str, str]
) -> None:
    linked, direct = database
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, linked],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **import_environment()},
    ) as client:
        try:
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
            proxies.set_trap("sql", CommitAction.STOP_SENDER, pid=client.pid)
            print("go", file=client.stdin, flush=True)
            _, status = os.waitpid(client.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            assert proxies.counts("sql").trapped == 1
            assert numbers(direct) == []
            proxies.set_trap("sql", None)
            client.send_signal(signal.SIGCONT)
            assert client.wait(timeout=30) == 0
            assert numbers(direct) == [1]
        finally:
            client.kill()
