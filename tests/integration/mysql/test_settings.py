"""URLs, value literals and the table of driver errors: what needs no server."""

from __future__ import annotations

import json

import pymysql.err
import pytest

from mainspring.server.errors import Contention, StoreError, StoreUnavailable, UnknownOutcome
from mainspring.server.persistence.mysql import literals
from mainspring.server.persistence.mysql.driver_errors import RowRefused, translate
from mainspring.server.persistence.mysql.settings import MySQLSettings


def test_a_url_is_taken_apart() -> None:
    settings = MySQLSettings.from_url("mysql://us%40er:p%3Aw%2F@db.example:3307/main")
    assert (settings.user, settings.password, settings.host) == ("us@er", "p:w/", "db.example")
    assert (settings.port, settings.database) == (3307, "main")
    assert MySQLSettings.from_url("mysql://u@h/d").port == 3306
    assert "p:w/" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgres://u:topsecret@h/d",
        "mysql://h/d",
        "mysql://u:topsecret@h/",
        "mysql://u:topsecret@h/a/b",
        "mysql://u:topsecret@h:99999/d",
        "mysql://u:topsecret@h/d?x=1",
        "mysql://u:topsecret@h/d`",
    ],
)
def test_a_wrong_url_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="database URL") as raised:
        MySQLSettings.from_url(url)
    assert "topsecret" not in str(raised.value)


def test_time_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="ping_interval_s"):
        MySQLSettings("h", 1, "u", "p", "d", ping_interval_s=3.0)
    with pytest.raises(ValueError, match="lock_wait_timeout_s"):
        MySQLSettings("h", 1, "u", "p", "d", statement_timeout_s=2.0)


@pytest.mark.parametrize(
    ("code", "may_have_applied", "expected"),
    [
        (1213, True, Contention),
        (1205, True, Contention),
        (1020, False, Contention),
        (2013, True, UnknownOutcome),
        (2013, False, StoreUnavailable),
        (2006, True, UnknownOutcome),
        (1053, True, UnknownOutcome),
        (1317, True, UnknownOutcome),
        (1927, True, UnknownOutcome),
        (2003, True, StoreUnavailable),
        (1040, True, StoreUnavailable),
        (1290, True, StoreUnavailable),
        (1792, True, StoreUnavailable),
        (1969, True, StoreUnavailable),
        (3024, True, StoreUnavailable),
        (1406, True, RowRefused),
        (1366, True, RowRefused),
    ],
)
def test_errors_by_number(code: int, may_have_applied: bool, expected: type[StoreError]) -> None:
    error = translate(pymysql.err.OperationalError(code, "said"), may_have_applied=may_have_applied)
    assert type(error) is expected
    assert "said" in error.message


def test_errors_that_are_not_the_servers() -> None:
    assert type(translate(TimeoutError(), may_have_applied=True)) is UnknownOutcome
    assert type(translate(TimeoutError(), may_have_applied=False)) is StoreUnavailable
    assert type(translate(ConnectionResetError(), may_have_applied=True)) is UnknownOutcome
    broken = translate(pymysql.err.ProgrammingError(1064, "syntax"), may_have_applied=True)
    assert type(broken) is StoreError


def test_documents_survive_the_quoting_of_sql() -> None:
    rows = [[1, "O'Neil \\ \" %s \n \U0001f4a5", None]]
    quoted = literals.document(rows)
    body = quoted[1:-1].replace("\\'", "'").replace("\\\\", "\\")
    assert json.loads(body) == rows


def test_splitting_keeps_everything_in_order_within_the_bounds() -> None:
    parts = list(range(100))
    sizes = [literals.MAX_STATEMENT_BYTES // 3] * 50 + [10] * 48 + [literals.MAX_STATEMENT_BYTES * 2, 10]
    runs = list(literals.split(parts, sizes, max_rows=20))
    assert [part for run in runs for part in run] == parts
    assert all(len(run) <= 20 for run in runs)
    assert [98] in [list(run) for run in runs]
    assert list(literals.split([], [], max_rows=5)) == []
