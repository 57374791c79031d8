"""H in cron expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.cron_fields import BadCronExpression, parse_cron
from mainspring.server.core.hashed_fields import has_hash, resolve_hashes

ONE, OTHER = bytes(range(16)), bytes(range(16, 32))


@pytest.mark.parametrize(
    ("expression", "resolved"),
    [
        ("H * * * *", "39 * * * *"),
        ("H H * * *", "39 4 * * *"),
        ("H H H H H", "39 4 22 4 6"),
        ("H H H * * *", "40 39 4 * * *"),
        ("H/15 * * * *", "9-59/15 * * * *"),
        ("H(0-29)/10 9-17 * * *", "9-29/10 9-17 * * *"),
        ("H(30-40) 2 * * *", "31 2 * * *"),
        ("0,H 0 * * H(1-5)", "0,39 0 * * 2"),
        ("H/60 * * * *", "39 * * * *"),
        ("H/1 * * * *", "0-59/1 * * * *"),
    ],
)
def test_values_are_frozen(expression: str, resolved: str) -> None:
    assert has_hash(expression)
    assert resolve_hashes(expression, ONE) == resolved
    assert not has_hash(resolved)
    parse_cron(resolved)


def test_another_task_has_other_values() -> None:
    assert resolve_hashes("H H * * *", OTHER) != resolve_hashes("H H * * *", ONE)


@given(
    st.binary(min_size=16, max_size=16),
    st.sampled_from(["H", "H/7", "H(3-6)", "H(3-6)/2"]),
    st.integers(0, 5),
)
def test_every_value_fits_its_field(key: bytes, token: str, index: int) -> None:
    fields = ["0", "0", "0", "1", "1", "0"]
    fields[index] = token
    walls = parse_cron(resolve_hashes(" ".join(fields), key))
    low, high = (3, 6) if "(" in token else (0, 59)
    for position, values in enumerate((walls.seconds, walls.minutes, walls.hours)):
        if position == index:
            assert all(low <= value <= high for value in values)


def test_a_herd_spreads() -> None:
    minutes = {resolve_hashes("H * * * *", n.to_bytes(16, "big")) for n in range(1_000)}
    assert len(minutes) == 60


@pytest.mark.parametrize("expression", ["0 9 * * THU", "@hourly", "@HOURLY", "0 9 * MAR *"])
def test_other_letters_are_no_hash(expression: str) -> None:
    assert not has_hash(expression)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("H(5) * * * *", "not understood"),
        ("H-5 * * * *", "not understood"),
        ("HH * * * *", "not understood"),
        ("H(0-60) * * * *", "out of range 0-59"),
        ("* H(20-4) * * *", "cannot wrap"),
        ("H(5-5) * * * *", "range of one value"),
        ("H/0 * * * *", "between 1 and 60"),
        ("H/61 * * * *", "between 1 and 60"),
        ("* * H/29 * *", "between 1 and 28"),
        ("H * * *", "needs 5 fields"),
    ],
)
def test_refused(expression: str, reason: str) -> None:
    with pytest.raises(BadCronExpression) as error:
        resolve_hashes(expression, ONE)
    assert reason in str(error.value)
