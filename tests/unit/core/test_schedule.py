"""The validation of what clients send."""

from __future__ import annotations

import pytest

from mainspring.server.core.new_schedule import validate_cron, validate_interval
from mainspring.server.core.schedule import Cron, Interval
from mainspring.server.errors import InvalidField, InvalidRequest


def test_validation_names_the_field() -> None:
    with pytest.raises(InvalidField) as bad_expression:
        validate_cron(["* * * * *", "61 * * * *"], "UTC")
    assert bad_expression.value.field == "expressions[1]"
    assert "out of range 0-59" in bad_expression.value.description
    for several in ([], ["* * * * *"] * 17):
        with pytest.raises(InvalidField) as bad_number:
            validate_cron(several, "UTC")
        assert bad_number.value.field == "expressions"
    for zone in ("Mars/Olympus", "europe/berlin", "", "../UTC", "Europe", "x" * 10_000):
        with pytest.raises(InvalidField) as bad_zone:
            validate_cron(["* * * * *"], zone)
        assert bad_zone.value.field == "time_zone"
        assert len(bad_zone.value.description) < 250
    with pytest.raises(InvalidField) as bad_interval:
        validate_interval(999_999, 0)
    assert bad_interval.value.field == "every"
    assert validate_interval(1_000_000, 3) == Interval(1_000_000, 3)


def test_violations_are_bundled_under_the_path_of_their_message() -> None:
    with pytest.raises(InvalidField) as error:
        validate_cron(["* * * * *"], "Mars/Olympus")
    inner = error.value.within("task.schedule.cron")
    assert inner.field == "task.schedule.cron.time_zone"
    assert inner.violations == (inner,)
    bundle = InvalidRequest([inner, InvalidField("task.id", "is empty")])
    assert [v.field for v in bundle.violations] == ["task.schedule.cron.time_zone", "task.id"]
    assert "task.id: is empty" in bundle.message


def test_two_spellings_of_one_expression_are_equal() -> None:
    assert validate_cron(["0 9 * * Mon"], "UTC") == validate_cron([" 0\t9 * *  MON"], "UTC")
    assert validate_cron(["0 9 * * Mon", "0 9 * *  MON"], "UTC").expressions == ("0 9 * * MON",)
    assert validate_cron(["@Daily"], "UTC") == Cron(("@daily",), "UTC")
